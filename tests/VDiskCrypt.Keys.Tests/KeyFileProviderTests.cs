using System.Security.Cryptography;
using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Keys.Tests;

public sealed class KeyFileProviderTests : IDisposable
{
    private readonly ScratchFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void A_platform_key_is_made_once_and_unwraps_what_it_wrapped()
    {
        var provider = new PlatformKekProvider(_scratch["keys"]);
        KekUri key = KekUri.Parse("platform:");
        Assert.True(provider.EnsureExists(key, default));
        Assert.False(provider.EnsureExists(key, default));
        using SecretMemory secret = SecretMemory.Random(64);
        WrappedSecret wrapped = provider.Wrap(key, secret, default);
        using SecretMemory unwrapped = provider.Unwrap(wrapped, default);
        Assert.True(secret.ContentEquals(unwrapped));
        Assert.StartsWith("platform:default/", wrapped.KeyId);
        Assert.Equal("A256KW", wrapped.Algorithm);
    }

    [Fact]
    public void The_store_and_its_keys_are_closed_to_others()
    {
        var provider = new PlatformKekProvider(_scratch["keys"]);
        provider.EnsureExists(KekUri.Parse("platform:mine"), default);
        string folder = provider.PathOf(KekUri.Parse("platform:mine"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_scratch["keys"]));
        string file = Assert.Single(Directory.GetFiles(folder, "*.key"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }

    [Fact]
    public void Two_first_uses_at_once_end_with_one_key()
    {
        var provider = new PlatformKekProvider(_scratch["keys"]);
        int made = 0;
        Parallel.For(0, 8, _ =>
        {
            if (provider.EnsureExists(KekUri.Parse("platform:race"), default))
            {
                Interlocked.Increment(ref made);
            }
        });
        Assert.Equal(1, made);
        Assert.Single(Directory.GetFiles(provider.PathOf(KekUri.Parse("platform:race")), "*.key"));
    }

    [Theory]
    [InlineData("platform:../../etc/passwd/1")]
    [InlineData("platform:default/../x")]
    [InlineData("platform:default")]
    public void A_key_id_from_a_header_cannot_leave_the_store(string keyId)
    {
        var provider = new PlatformKekProvider(_scratch["keys"]);
        var wrapped = new WrappedSecret(keyId, "A256KW", "x", new byte[72]);
        VDiskException error = Assert.Throws<VDiskException>(() => provider.Unwrap(wrapped, default));
        Assert.Equal(FailureKind.Damaged, error.Kind);
    }

    [Fact]
    public void A_pipe_is_no_key_file_and_is_not_waited_for()
    {
        string path = _scratch["pipe"];
        ExternalTool.Run("mkfifo", "-m", "600", path).Succeeded();
        var wrapped = new WrappedSecret($"file:{path}", "A256KW", "x", new byte[72]);
        VDiskException error = Assert.Throws<VDiskException>(() => new FileKekProvider().Unwrap(wrapped, default));
        Assert.Equal(FailureKind.Usage, error.Kind);
    }

    [Theory]
    [InlineData("file:")]
    [InlineData("file:a\0b")]
    public void A_key_id_that_is_no_path_is_said_so(string keyId)
    {
        var wrapped = new WrappedSecret(keyId, "A256KW", "x", new byte[72]);
        Assert.Equal(FailureKind.Usage, Assert.Throws<VDiskException>(() => new FileKekProvider().Unwrap(wrapped, default)).Kind);
    }

    [Fact]
    public void A_key_file_that_others_may_read_is_refused()
    {
        string path = KeyFile("open.key");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.OtherRead);
        using SecretMemory secret = SecretMemory.Random(64);
        VDiskException error = Assert.Throws<VDiskException>(() =>
            new FileKekProvider().Wrap(KekUri.Parse($"file:{path}"), secret, default));
        Assert.Equal(FailureKind.NotPermitted, error.Kind);
    }

    [Fact]
    public void Another_key_is_told_from_a_damaged_secret()
    {
        var provider = new FileKekProvider();
        KekUri key = KekUri.Parse($"file:{KeyFile("a.key")}");
        using SecretMemory secret = SecretMemory.Random(64);
        WrappedSecret wrapped = provider.Wrap(key, secret, default);
        WrappedSecret elsewhere = wrapped with { KeyId = $"file:{KeyFile("b.key")}" };
        Assert.Equal(FailureKind.WrongCredential, Assert.Throws<VDiskException>(() => provider.Unwrap(elsewhere, default)).Kind);
        byte[] changed = wrapped.Ciphertext.ToArray();
        changed[20] ^= 1;
        Assert.Equal(FailureKind.Damaged, Assert.Throws<VDiskException>(() => provider.Unwrap(wrapped with { Ciphertext = changed }, default)).Kind);
    }

    [Fact]
    public void A_key_of_the_wrong_length_or_none_is_said_so()
    {
        File.WriteAllBytes(_scratch["short.key"], new byte[16]);
        File.SetUnixFileMode(_scratch["short.key"], UnixFileMode.UserRead);
        using SecretMemory secret = SecretMemory.Random(64);
        var provider = new FileKekProvider();
        Assert.Equal(FailureKind.Damaged, Assert.Throws<VDiskException>(() =>
            provider.Wrap(KekUri.Parse($"file:{_scratch["short.key"]}"), secret, default)).Kind);
        Assert.Equal(FailureKind.NotFound, Assert.Throws<VDiskException>(() =>
            provider.Wrap(KekUri.Parse($"file:{_scratch["none.key"]}"), secret, default)).Kind);
    }

    [Fact]
    public void A_provider_of_ones_own_is_found_by_its_scheme()
    {
        var providers = new KekProviders([new FileKekProvider(), new ReversingProvider()]);
        Assert.IsType<ReversingProvider>(providers.For(KekUri.Parse("Reversing:any")));
        Assert.Equal(FailureKind.Unsupported, Assert.Throws<VDiskException>(() => providers.For(KekUri.Parse("other:x"))).Kind);
        Assert.Equal(FailureKind.Usage, Assert.Throws<VDiskException>(() => KekUri.Parse("no-scheme")).Kind);
    }

    private string KeyFile(string name)
    {
        string path = _scratch[name];
        File.WriteAllBytes(path, RandomNumberGenerator.GetBytes(32));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }

    private sealed class ReversingProvider : IKekProvider
    {
        public string Scheme => "reversing";

        public WrappedSecret Wrap(KekUri key, SecretMemory secret, CancellationToken cancellation)
        {
            byte[] reversed = secret.Span.ToArray();
            Array.Reverse(reversed);
            return new WrappedSecret(key.ToString(), "reverse", "", reversed);
        }

        public SecretMemory Unwrap(WrappedSecret wrapped, CancellationToken cancellation)
        {
            byte[] bytes = wrapped.Ciphertext.ToArray();
            Array.Reverse(bytes);
            return SecretMemory.Take(bytes);
        }
    }
}
