using Xunit;

namespace VDiskCrypt.Core.Tests;

public sealed class SecretMemoryTests
{
    [Fact]
    public void Taking_bytes_wipes_where_they_came_from()
    {
        byte[] source = [1, 2, 3];
        using SecretMemory secret = SecretMemory.Take(source);
        Assert.Equal([1, 2, 3], secret.Span.ToArray());
        Assert.Equal(new byte[3], source);
    }

    [Fact]
    public void Says_nothing_of_its_contents_as_text()
    {
        using SecretMemory secret = SecretMemory.Take("passphrase"u8.ToArray());
        Assert.Equal("SecretMemory", secret.ToString());
    }

    [Fact]
    public void Is_gone_after_dispose()
    {
        SecretMemory secret = SecretMemory.Random(64);
        secret.Dispose();
        Assert.Throws<ObjectDisposedException>(() => secret.Span.Length);
        Assert.Throws<ObjectDisposedException>(() => secret.Address);
    }

    [Fact]
    public void Is_not_readable_through_proc_mem_where_the_kernel_has_secret_memory()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && MemfdSecretWorks(), "the kernel has no memfd_secret");
        using SecretMemory secret = SecretMemory.Random(64);
        using FileStream memory = new("/proc/self/mem", FileMode.Open, FileAccess.Read);
        memory.Position = secret.Address;
        Assert.ThrowsAny<Exception>(() => memory.ReadByte());
    }

    [Fact]
    public void Compares_contents()
    {
        using SecretMemory first = SecretMemory.Take(new byte[] { 1, 2 });
        using SecretMemory same = first.Copy();
        using SecretMemory other = SecretMemory.Take(new byte[] { 1, 3 });
        Assert.True(first.ContentEquals(same));
        Assert.False(first.ContentEquals(other));
    }

    private static bool MemfdSecretWorks()
    {
        // The mapping's name shows which memory the kernel gave.
        using SecretMemory probe = new(1);
        string address = probe.Address.ToString("x");
        return File.ReadLines("/proc/self/maps").Any(line => line.StartsWith(address, StringComparison.Ordinal) && line.Contains("secretmem"));
    }
}
