using System.Security.Cryptography;
using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Argon2;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Crypto.Tests;

public sealed class KdfTests
{
    /// <summary>RFC 9106, sections 5.2 and 5.3: 32 bytes of password, 3 passes, 32 KiB, 4 lanes.</summary>
    [Theory]
    [InlineData(Argon2Variant.Argon2i, true, "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8")]
    [InlineData(Argon2Variant.Argon2i, false, "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8")]
    [InlineData(Argon2Variant.Argon2id, true, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659")]
    [InlineData(Argon2Variant.Argon2id, false, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659")]
    public void The_vectors_of_RFC_9106_hold(Argon2Variant variant, bool native, string tagHex)
    {
        Assert.SkipWhen(native && !Argon2.IsNative, "libargon2 is not installed");
        var tag = new byte[32];
        Argon2.Engine(native).Derive(
            new Argon2Parameters(variant, 3, 32, 4), Filled(1, 32), Filled(2, 16), Filled(3, 8), Filled(4, 12), tag);
        Assert.Equal(Convert.FromHexString(tagHex), tag);
    }

    [Theory]
    [InlineData(1, 8, 1, 32)]
    [InlineData(4, 1000, 3, 64)]
    [InlineData(2, 4096, 2, 64)]
    public void Both_implementations_of_Argon2_agree(int passes, int memoryKiB, int lanes, int keyByteCount)
    {
        Assert.SkipUnless(Argon2.IsNative, "libargon2 is not installed");
        foreach (Argon2Variant variant in Enum.GetValues<Argon2Variant>())
        {
            var parameters = new Argon2Parameters(variant, passes, memoryKiB, lanes);
            var one = new byte[keyByteCount];
            var other = new byte[keyByteCount];
            Argon2.Engine(true).Derive(parameters, "password"u8, Filled(7, 32), default, default, one);
            Argon2.Engine(false).Derive(parameters, "password"u8, Filled(7, 32), default, default, other);
            Assert.Equal(one, other);
        }
    }

    [Theory]
    [InlineData(0, 64, 1)]
    [InlineData(4, 7, 1)]
    [InlineData(4, 64, 0)]
    [InlineData(4, 64, 9)]
    [InlineData(4, 1024, 17)]
    [InlineData(4, int.MaxValue, 4)]
    [InlineData(int.MaxValue, 1024, 4)]
    [InlineData(1, -1, -1)]
    public void Costs_out_of_range_are_refused_before_any_work(int passes, int memoryKiB, int lanes)
    {
        VDiskException error = Assert.Throws<VDiskException>(() =>
            Argon2.Derive(new Argon2Parameters(Argon2Variant.Argon2id, passes, memoryKiB, lanes), "p"u8, new byte[32], new byte[32]));
        Assert.Equal(FailureKind.Unsupported, error.Kind);
    }

    [Fact]
    public void Memory_that_is_not_there_is_not_taken()
    {
        VDiskException error = Assert.Throws<VDiskException>(() => Argon2.RequireMemory(1 << 20, 1000L << 20));
        Assert.Equal(FailureKind.NoSpace, error.Kind);
        Argon2.RequireMemory(1 << 20, 1100L << 20);
    }

    [Fact]
    public void The_least_of_the_host_and_every_control_group_counts()
    {
        using var scratch = new ScratchFolder();
        Write("proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable:    5000000 kB\n");
        Assert.Equal(5000000L * 1024, AvailableMemory.MeasureLinux(scratch.FullPath));

        Write("proc/self/cgroup", "0::/user/app\n");
        Write("sys/fs/cgroup/user/app/memory.max", "max\n");
        Write("sys/fs/cgroup/user/app/memory.current", "100\n");
        Assert.Equal(5000000L * 1024, AvailableMemory.MeasureLinux(scratch.FullPath));

        Write("sys/fs/cgroup/user/memory.max", "1000000\n");
        Write("sys/fs/cgroup/user/memory.current", "600000\n");
        Write("sys/fs/cgroup/user/memory.stat", "anon 5\ninactive_file 200000\n");
        Assert.Equal(600000, AvailableMemory.MeasureLinux(scratch.FullPath));

        Write("proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/docker/x\n0::/\n");
        Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "500000\n");
        Write("sys/fs/cgroup/memory/memory.usage_in_bytes", "700000\n");
        Assert.Equal(0, AvailableMemory.MeasureLinux(scratch.FullPath));

        void Write(string name, string text)
        {
            string path = Path.Combine(scratch.FullPath, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
        }
    }

    [Fact]
    public void Measured_costs_take_about_the_time_that_was_asked_for()
    {
        Argon2Parameters parameters = Argon2.MeasureParameters(targetMs: 200, mostMemoryKiB: 64 << 10, mostLanes: 2);
        Assert.Null(parameters.Objection);
        Assert.True(parameters.Passes >= Argon2.LeastPasses);
        Assert.InRange(parameters.MemoryKiB, 1024, 64 << 10);
        int iterations = Pbkdf2.MeasureIterations(KdfHash.Sha256, 64, 100);
        Assert.InRange(iterations, Pbkdf2.LeastIterations, 50_000_000);
    }

    /// <summary>RFC 6070 (SHA-1) and RFC 7914, section 11 (SHA-256).</summary>
    [Fact]
    public void The_vectors_of_PBKDF2_hold()
    {
        var key = new byte[20];
        Pbkdf2.Derive(KdfHash.Sha1, "password"u8, "salt"u8, 4096, key);
        Assert.Equal("4B007901B765489ABEAD49D926F721D065A429C1", Convert.ToHexString(key));
        key = new byte[64];
        Pbkdf2.Derive(KdfHash.Sha256, "Password"u8, "NaCl"u8, 80000, key);
        Assert.Equal(
            "4DDCD8F60B98BE21830CEE5EF22701F9641A4418D04C0414AEFF08876B34AB56"
            + "A1D425A1225833549ADB841B51C9B3176A272BDEBBA1D078478F62B397F33C8D", Convert.ToHexString(key));
        Assert.ThrowsAny<ArgumentException>(() => Pbkdf2.Derive(KdfHash.Sha256, "p"u8, "s"u8, int.MaxValue, new byte[32]));
    }

    /// <summary>RFC 5869, A.1.</summary>
    [Fact]
    public void The_first_vector_of_HKDF_holds()
    {
        var key = new byte[42];
        HkdfSha256.Derive(
            Filled(0x0b, 22), Convert.FromHexString("000102030405060708090a0b0c"), Convert.FromHexString("f0f1f2f3f4f5f6f7f8f9"), key);
        Assert.Equal(
            "3CB25F25FAACD57A90434F64D0362F2A2D2D0A90CF1A5A4C5DB02D56ECC4C5BF34007208D5B887185865", Convert.ToHexString(key));
    }

    /// <summary>What argon2.h says of its struct, compiled.</summary>
    [Fact]
    public unsafe void The_context_of_libargon2_lies_as_a_C_compiler_lays_it()
    {
        ExternalTool.Require("gcc");
        Assert.SkipUnless(File.Exists("/usr/include/argon2.h"), "argon2.h is not installed (libargon2-dev)");
        using var scratch = new ScratchFolder();
        string[] names = ["out", "outlen", "pwd", "pwdlen", "salt", "saltlen", "secret", "secretlen", "ad", "adlen",
            "t_cost", "m_cost", "lanes", "threads", "version", "allocate_cbk", "free_cbk", "flags"];
        var source = new StringBuilder("#include <argon2.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void){");
        foreach (string name in names)
        {
            source.Append($"printf(\"%zu \", offsetof(argon2_context, {name}));");
        }

        File.WriteAllText(scratch["t.c"], source.Append("printf(\"%zu\", sizeof(argon2_context));}").ToString());
        ExternalTool.Run("gcc", "-o", scratch["t"], scratch["t.c"]).Succeeded();
        var context = default(Argon2_Context);
        long start = (long)&context;
        long[] offsets =
        [
            (long)&context.@out, (long)&context.outlen, (long)&context.pwd, (long)&context.pwdlen, (long)&context.salt,
            (long)&context.saltlen, (long)&context.secret, (long)&context.secretlen, (long)&context.ad, (long)&context.adlen,
            (long)&context.t_cost, (long)&context.m_cost, (long)&context.lanes, (long)&context.threads, (long)&context.version,
            (long)&context.allocate_cbk, (long)&context.free_cbk, (long)&context.flags,
        ];
        string ours = string.Join(' ', offsets.Select(offset => offset - start).Append(sizeof(Argon2_Context)));
        Assert.Equal(ExternalTool.Run(scratch["t"]).Succeeded().Output, ours);
    }

    private static byte[] Filled(byte value, int count) => [.. Enumerable.Repeat(value, count)];
}
