using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Crypto.Tests;

/// <summary>tests/golden/nist-cavp, by every kernel that this machine runs.</summary>
public sealed class NistXtsVectors(ITestOutputHelper output)
{
    public static TheoryData<string, string> FilesAndKernels()
    {
        var data = new TheoryData<string, string>();
        foreach (string kernel in AesXtsKernels.SupportedNames)
        {
            data.Add("XTSGenAES128.rsp", kernel);
            data.Add("XTSGenAES256.rsp", kernel);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(FilesAndKernels))]
    public void Every_vector_of_whole_bytes_holds(string file, string kernel)
    {
        int tested = 0;
        int skipped = 0;
        bool encrypt = true;
        var fields = new Dictionary<string, string>();
        foreach (string line in File.ReadLines(Path.Combine(GoldenFolder.Find("nist-cavp"), file)))
        {
            if (line.StartsWith('['))
            {
                encrypt = line == "[ENCRYPT]";
            }
            else if (line.Split(" = ") is [string name, string value])
            {
                fields[name] = value.Trim();
                if (name != (encrypt ? "CT" : "PT"))
                {
                    continue;
                }

                if (int.Parse(fields["DataUnitLen"]) % 8 != 0)
                {
                    skipped++;
                    continue;
                }

                Check(fields, encrypt, kernel);
                tested++;
            }
        }

        output.WriteLine($"{file}, {kernel}: {tested} vectors hold, {skipped} skipped for not being whole bytes");
        Assert.True(tested >= 600 && tested + skipped == 1000, $"{tested} tested, {skipped} skipped");
    }

    private static void Check(Dictionary<string, string> fields, bool encrypt, string kernel)
    {
        using SecretMemory key = SecretMemory.Take(Convert.FromHexString(fields["Key"]));
        using var cipher = new AesXtsCipher(key, kernel);
        byte[] tweak = Convert.FromHexString(fields["i"]);
        UInt128 unitNumber = System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(tweak);
        byte[] plaintext = Convert.FromHexString(fields["PT"]);
        byte[] ciphertext = Convert.FromHexString(fields["CT"]);
        byte[] buffer = encrypt ? [.. plaintext] : [.. ciphertext];
        var result = new byte[buffer.Length];
        if (encrypt)
        {
            cipher.EncryptUnit(unitNumber, buffer, result);
            cipher.EncryptUnit(unitNumber, buffer, buffer);
        }
        else
        {
            cipher.DecryptUnit(unitNumber, buffer, result);
            cipher.DecryptUnit(unitNumber, buffer, buffer);
        }

        Assert.Equal(encrypt ? ciphertext : plaintext, result);
        Assert.Equal(result, buffer);
    }
}
