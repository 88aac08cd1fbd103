using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;

namespace VDiskCrypt.Cli;

/// <summary>`benchmark`: each cipher kernel on one core, sector by sector in memory, and the key derivations.</summary>
internal sealed class BenchmarkCommand
{
    private const int BufferByteCount = 1 << 20;
    private const int WarmUpMs = 200;
    private const int MeasureMs = 400;

    private readonly Option<bool> _cipherOnly = new("--cipher-only") { Description = "leave the key derivations out" };

    public static Command Build()
    {
        var command = new Command("benchmark", """
            measure the ciphers and key derivations on this machine
            Example: vdiskcrypt benchmark --json
            """);
        var benchmark = new BenchmarkCommand();
        command.Options.Add(benchmark._cipherOnly);
        command.SetBody(benchmark.Run);
        return command;
    }

    private static double MeasureCipher(string kernel, int keyByteCount, int sectorByteSize, bool encrypt)
    {
        using SecretMemory key = AesXtsKey.Generate(keyByteCount);
        using var cipher = new AesXtsCipher(key, kernel);
        using AlignedBuffer buffer = AlignedBuffer.Rent(BufferByteCount);
        ulong step = (ulong)(sectorByteSize / 512);
        long byteCount = 0;

        // The runtime compiles what is hot once more, better, and the processor raises its clock: neither counts.
        var time = Stopwatch.StartNew();
        bool warm = false;
        while (!warm || time.ElapsedMilliseconds < MeasureMs)
        {
            if (encrypt)
            {
                cipher.Encrypt(0, sectorByteSize, step, buffer.Span, buffer.Span);
            }
            else
            {
                cipher.Decrypt(0, sectorByteSize, step, buffer.Span, buffer.Span);
            }

            byteCount += BufferByteCount;
            if (!warm && time.ElapsedMilliseconds >= WarmUpMs)
            {
                warm = true;
                byteCount = 0;
                time.Restart();
            }
        }

        return byteCount / time.Elapsed.TotalSeconds;
    }

    private static JsonObject Kdf(string name, string parameters, double milliseconds) => new()
    {
        ["kdf"] = name, ["parameters"] = parameters, ["milliseconds"] = Math.Round(milliseconds, 1),
    };

    private static JsonArray MeasureKdfs()
    {
        var time = Stopwatch.StartNew();
        int iterations = Pbkdf2.MeasureIterations(KdfHash.Sha256, 64, 1000);
        var argon2 = new Argon2Parameters(Argon2Variant.Argon2id, Passes: 4, MemoryKiB: 256 << 10, Lanes: 4);
        Span<byte> key = stackalloc byte[64];
        time.Restart();
        Argon2.Derive(argon2, "password"u8, "a salt of a measurement"u8, key);
        return new JsonArray(
            Kdf("pbkdf2-sha256", $"{iterations} iterations", 1000),
            Kdf("argon2id", $"t=4 m=256MiB p=4, {(Argon2.IsNative ? "libargon2" : "managed")}", time.Elapsed.TotalMilliseconds));
    }

    private void Run(ParseResult parsed, Report report)
    {
        var ciphers = new JsonArray();
        var lines = new List<string>();
        foreach (string kernel in AesXtsKernels.SupportedNames)
        {
            foreach ((int keyBits, int sector) in new[] { (512, 4096), (512, 512), (256, 4096) })
            {
                double encrypt = MeasureCipher(kernel, keyBits / 8, sector, encrypt: true);
                double decrypt = MeasureCipher(kernel, keyBits / 8, sector, encrypt: false);
                ciphers.Add((JsonNode)new JsonObject
                {
                    ["cipher"] = "aes-xts-plain64",
                    ["kernel"] = kernel,
                    ["keyBits"] = keyBits,
                    ["sectorByteSize"] = sector,
                    ["bytesPerSecond"] = Math.Round(encrypt),
                    ["decryptBytesPerSecond"] = Math.Round(decrypt),
                });
                lines.Add(string.Create(CultureInfo.InvariantCulture,
                    $"aes-xts-plain64 {keyBits} bits, {sector,4}-byte sectors, {kernel,-8} {encrypt / 1e9:0.00} GB/s encrypt, {decrypt / 1e9:0.00} GB/s decrypt"));
            }
        }

        var document = new JsonObject { ["ciphers"] = ciphers };
        if (!parsed.GetValue(_cipherOnly))
        {
            JsonArray kdfs = MeasureKdfs();
            lines.AddRange(kdfs.Select(kdf => $"{(string)kdf!["kdf"]!} {(string)kdf["parameters"]!}: {(double)kdf["milliseconds"]!} ms"));
            document["kdfs"] = kdfs;
        }

        report.Result(document, lines);
    }
}
