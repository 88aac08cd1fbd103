using VDiskCrypt.Core;
using VDiskCrypt.Luks;
using VDiskCrypt.Testing;
using VDiskCrypt.Volumes;
using Xunit;

namespace VDiskCrypt.Keys.Tests;

/// <summary>A KEK is replaced on a real image; power is cut at every write.</summary>
public sealed class KekRotationTests : IDisposable
{
    private readonly ScratchFolder _scratch = new();
    private readonly KekProviders _providers = new([new FileKekProvider()]);
    private readonly KekUri _old;
    private readonly KekUri _new;

    public KekRotationTests()
    {
        _old = KeyFile("old");
        _new = KeyFile("new");
        Directory.CreateDirectory(_scratch["backups"]);
    }

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_rotation_cut_at_any_write_leaves_a_volume_that_opens_and_finishes_when_run_again(bool cutInside)
    {
        ExternalTool.Require("cryptsetup");
        byte[] template = File.ReadAllBytes(Create());
        int cuts = 0;
        for (bool finished = false; !finished; cuts += finished ? 0 : 1)
        {
            var device = new CutDevice([.. template], cuts, cutInside);
            finished = RotateUntilCut(device);
            string image = _scratch[$"cut{cuts}.img"];
            File.WriteAllBytes(image, device.Bytes);
            AssertCryptsetupOpens(image);
            using (VolumeContainer container = Open(image))
            using (UnlockedKey key = container.Unlock(new Credentials([], _providers)))
            {
                container.EditKeys(key.VolumeKey, _providers, _scratch["backups"]).Rotate(_old, _new, planOnly: false, CancellationToken.None);
            }

            AssertOnlyNewOpens(image);
            File.Delete(image);
        }

        // New area, both copies, old area wiped, both copies: at least these.
        Assert.InRange(cuts, 6, 60);
    }

    [Fact]
    public void The_old_key_need_not_be_there_any_more()
    {
        string image = Create(withRecoveryKey: true, out SecretMemory? recoveryKey);
        File.Delete(_scratch["old"]);
        using (var credentials = new Credentials([recoveryKey!], _providers))
        {
            Edit(image, credentials, editor => editor.Rotate(_old, _new, planOnly: false, CancellationToken.None));
        }

        AssertOnlyNewOpens(image, keyslots: 2);
    }

    [Fact]
    public void The_header_is_backed_up_first_for_its_owner_alone_and_the_backup_opens_with_the_old_key()
    {
        string image = Create();
        byte[] before = File.ReadAllBytes(image);
        KekRotation rotation = Edit(image, new Credentials([], _providers), editor => editor.Rotate(_old, _new, planOnly: false, CancellationToken.None));
        byte[] backup = File.ReadAllBytes(rotation.BackupPath!);
        Assert.Equal(before.AsSpan(0, backup.Length).ToArray(), backup);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(rotation.BackupPath!));
        using (FileStream file = File.OpenWrite(image))
        {
            file.Write(backup);
        }

        File.Delete(_scratch["new"]);
        Edit(image, new Credentials([], _providers), editor => editor.KeyslotsOf(_old));
    }

    [Fact]
    public void A_plan_changes_nothing()
    {
        string image = Create();
        byte[] before = File.ReadAllBytes(image);
        KekRotation plan = Edit(image, new Credentials([], _providers), editor => editor.Rotate(_old, _new, planOnly: true, CancellationToken.None));
        Assert.Equal((true, null), (plan.AddsKeyslot, plan.BackupPath));
        Assert.Equal([_old.ToString()], plan.DroppedKeyIds);
        Assert.Equal(before, File.ReadAllBytes(image));
        Assert.Empty(Directory.GetFiles(_scratch["backups"]));
    }

    [Fact]
    public void A_key_that_does_not_guard_the_volume_is_not_rotated()
    {
        string image = Create();
        VDiskException failure = Assert.Throws<VDiskException>(() => Edit(image, new Credentials([], _providers),
            editor => editor.Rotate(KeyFile("stranger"), _new, planOnly: false, CancellationToken.None)));
        Assert.Equal(FailureKind.NotFound, failure.Kind);
        Assert.Empty(Directory.GetFiles(_scratch["backups"]));
    }

    [Fact]
    public void The_last_credential_is_never_removed_and_the_last_but_one_only_when_told()
    {
        string image = Create(withRecoveryKey: true, out _);
        Edit(image, new Credentials([], _providers), editor =>
        {
            Assert.Equal(FailureKind.NotPermitted, Assert.Throws<VDiskException>(() => editor.Remove([1], mayLeaveOne: false)).Kind);
            Assert.Equal(FailureKind.NotPermitted, Assert.Throws<VDiskException>(() => editor.Remove([0, 1], mayLeaveOne: true)).Kind);
            return editor.Remove([1], mayLeaveOne: true);
        });
        Edit(image, new Credentials([], _providers), editor =>
        {
            Assert.Equal([0], editor.CredentialKeyslots);
            Assert.Equal(FailureKind.NotPermitted, Assert.Throws<VDiskException>(() => editor.Remove([0], mayLeaveOne: true)).Kind);
            return 0;
        });
    }

    private bool RotateUntilCut(CutDevice device)
    {
        LuksHeader header = LuksHeader.Read(device);
        using LuksUnlock unlock = Unlock(header, _old);
        try
        {
            new KeyEditor(header, device, new Unlocked(), unlock.VolumeKey, _providers, _scratch["backups"])
                .Rotate(_old, _new, planOnly: false, CancellationToken.None);
            return true;
        }
        catch (VDiskException failure) when (failure.Message == "power cut")
        {
            return false;
        }
    }

    private LuksUnlock Unlock(LuksHeader header, KekUri key)
    {
        KekToken token = Tokens(header).Single(kek => kek.Secret.KeyId == key.ToString());
        using SecretMemory secret = _providers.For(key).Unwrap(token.Secret, CancellationToken.None);
        return header.Unlock(secret.Span, token.Keyslots.Single());
    }

    private static IEnumerable<KekToken> Tokens(LuksHeader header) =>
        header.Tokens.Select(token => KekToken.Parse(token.Content, token.Number)).OfType<KekToken>();

    /// <summary>On a copy, since cryptsetup repairs a header that it loads.</summary>
    private void AssertCryptsetupOpens(string image)
    {
        string copy = image + ".copy";
        File.Copy(image, copy, overwrite: true);
        ExternalTool.Run("cryptsetup", "luksDump", copy).Succeeded();
        int opened = 0;
        foreach (KekToken token in Tokens(LuksHeader.Read(new CutDevice(File.ReadAllBytes(image), 0, false))))
        {
            using SecretMemory secret = _providers.For(_old).Unwrap(token.Secret, CancellationToken.None);
            File.WriteAllBytes(_scratch["secret"], secret.Span.ToArray());
            opened += ExternalTool.Run("cryptsetup", "open", "--test-passphrase", "--key-file", _scratch["secret"], copy).ExitCode == 0 ? 1 : 0;
        }

        File.Delete(copy);
        Assert.True(opened > 0, "cryptsetup opens it with no KEK's secret");
    }

    private void AssertOnlyNewOpens(string image, int keyslots = 1)
    {
        using VolumeContainer container = Open(image);
        Assert.Equal(keyslots, container.Header.Keyslots.Count);
        Assert.Equal([_new.ToString()], Tokens(container.Header).Select(kek => kek.Secret.KeyId));
        using UnlockedKey key = container.Unlock(new Credentials([], _providers));
        Assert.Equal(_new.ToString(), key.By);
    }

    private T Edit<T>(string image, Credentials credentials, Func<KeyEditor, T> body)
    {
        using VolumeContainer container = Open(image);
        using UnlockedKey key = container.Unlock(credentials);
        return body(container.EditKeys(key.VolumeKey, _providers, _scratch["backups"]));
    }

    private VolumeContainer Open(string image) => VolumeContainer.Open(ImageReference.Parse(image), VolumeAccess.ReadWrite, _scratch["known"]);

    private string Create() => Create(withRecoveryKey: false, out _);

    private string Create(bool withRecoveryKey, out SecretMemory? recoveryKey)
    {
        string image = _scratch["disk.img"];
        using CreatedVolume created = VolumeCreation.Create(new VolumeCreationOptions
        {
            Path = image, Format = "raw", ByteCount = 24 << 20, WithFileSystem = false, Keks = [_old], WithRecoveryKey = withRecoveryKey,
            KnownVolumesFolder = _scratch["known"],
        }, _providers);
        recoveryKey = created.RecoveryKey?.Copy();
        return image;
    }

    private KekUri KeyFile(string name)
    {
        File.WriteAllBytes(_scratch[name], System.Security.Cryptography.RandomNumberGenerator.GetBytes(32));
        File.SetUnixFileMode(_scratch[name], UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return KekUri.Parse("file:" + _scratch[name]);
    }

    private sealed class Unlocked : IHeaderLock, IDisposable
    {
        public IDisposable AcquireShared() => this;

        public IDisposable AcquireExclusive() => this;

        public void Dispose()
        {
        }
    }
}
