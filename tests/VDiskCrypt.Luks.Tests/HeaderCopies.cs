using System.Text;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;
using Xunit;

namespace VDiskCrypt.Luks.Tests;

/// <summary>The two copies of a header: damage, repair, updates that are cut short, and who else writes.</summary>
public sealed class HeaderCopies : IDisposable
{
    private const int DeviceByteLength = 2 << 20;

    private readonly SecretMemory _key = AesXtsKey.Generate(64);

    public void Dispose() => _key.Dispose();

    [Theory]
    [InlineData(0, HeaderCopyState.Damaged, HeaderCopyState.Valid)]
    [InlineData(3, HeaderCopyState.Damaged, HeaderCopyState.Valid)]
    [InlineData(20, HeaderCopyState.Damaged, HeaderCopyState.Valid)]
    [InlineData(450, HeaderCopyState.Damaged, HeaderCopyState.Valid)]
    [InlineData(2000, HeaderCopyState.Damaged, HeaderCopyState.Valid)]
    [InlineData(4100, HeaderCopyState.Damaged, HeaderCopyState.Valid)]
    [InlineData(16383, HeaderCopyState.Damaged, HeaderCopyState.Valid)]
    [InlineData(16384, HeaderCopyState.Valid, HeaderCopyState.Damaged)]
    [InlineData(16384 + 460, HeaderCopyState.Valid, HeaderCopyState.Damaged)]
    [InlineData(32767, HeaderCopyState.Valid, HeaderCopyState.Damaged)]
    public void One_damaged_byte_leaves_the_other_copy_and_repair_brings_it_back(
        int damagedAt, HeaderCopyState primary, HeaderCopyState secondary)
    {
        MemoryDevice device = Create();
        byte[] before = [.. device.Bytes];
        device.Bytes[damagedAt] ^= 0x40;
        LuksHeader header = LuksHeader.Read(device);
        Assert.Equal((primary, secondary), (header.PrimaryState, header.SecondaryState));
        using (LuksUnlock unlock = header.Unlock("pass"u8))
        {
            Assert.True(unlock.VolumeKey.ContentEquals(_key));
        }

        VDiskException refused = Assert.Throws<VDiskException>(() => header.Update(edit => edit.SetLabel("x")));
        Assert.Equal(FailureKind.Damaged, refused.Kind);
        device.Log.Clear();
        header.Repair();
        Assert.Equal([$"write {(primary == HeaderCopyState.Damaged ? 0 : 16384)} 16384", "flush"], device.Log);
        LuksHeader repaired = LuksHeader.Read(device);
        Assert.False(repaired.NeedsRepair);
        Assert.Equal(header.SequenceId, repaired.SequenceId);
        int bad = primary == HeaderCopyState.Damaged ? 0 : 16384;
        Assert.NotEqual(before.AsSpan(bad + 104, 64).ToArray(), device.Bytes.AsSpan(bad + 104, 64).ToArray());
        Assert.Equal(before.AsSpan(bad + 4096, 12288).ToArray(), device.Bytes.AsSpan(bad + 4096, 12288).ToArray());
        Assert.Equal(before.AsSpan(16384 - bad, 16384).ToArray(), device.Bytes.AsSpan(16384 - bad, 16384).ToArray());
        repaired.Update(edit => edit.SetLabel("x"));
    }

    [Fact]
    public void Reading_writes_nothing()
    {
        MemoryDevice device = Create();
        device.Bytes[5000] ^= 1;
        device.Log.Clear();
        LuksHeader.Read(device);
        Assert.Empty(device.Log);
    }

    [Fact]
    public void Both_copies_damaged_is_a_failure_that_says_so()
    {
        MemoryDevice device = Create();
        device.Bytes[5000] ^= 1;
        device.Bytes[16384 + 5000] ^= 1;
        VDiskException error = Assert.Throws<VDiskException>(() => LuksHeader.Read(device));
        Assert.Equal(FailureKind.Damaged, error.Kind);
        Assert.Contains("both copies", error.Message);
        Assert.Contains("backup", error.Remedy);
    }

    [Theory]
    [InlineData(0, HeaderCopyState.Valid, HeaderCopyState.Stale)]
    [InlineData(16384, HeaderCopyState.Stale, HeaderCopyState.Valid)]
    public void The_copy_with_the_higher_number_counts(int newer, HeaderCopyState primary, HeaderCopyState secondary)
    {
        MemoryDevice device = Create();
        HeaderImage.SetSequenceId(device, newer, 900);
        LuksHeader header = LuksHeader.Read(device);
        Assert.Equal(900UL, header.SequenceId);
        Assert.Equal((primary, secondary), (header.PrimaryState, header.SecondaryState));
        header.Repair();
        header = LuksHeader.Read(device);
        Assert.Equal((900UL, false), (header.SequenceId, header.NeedsRepair));
    }

    [Fact]
    public void Copies_of_one_number_that_differ_are_told_apart()
    {
        MemoryDevice device = Create();
        "other"u8.CopyTo(device.Bytes.AsSpan(16384 + 24));
        HeaderImage.Seal(device, 16384);
        LuksHeader header = LuksHeader.Read(device);
        Assert.Equal("", header.Label);
        Assert.Equal(HeaderCopyState.Stale, header.SecondaryState);
    }

    [Fact]
    public void A_secondary_copy_is_found_at_any_header_size()
    {
        var device = new MemoryDevice(40 << 20);
        var parameters = new LuksFormatParameters { HeaderByteSize = 1 << 20, OverwriteKeyslotsArea = false };
        LuksFormat.Create(device, parameters, _key).AddKeyslot(_key, "pass"u8, LuksKdf.ForRandomSecret);
        device.Bytes.AsSpan(0, 1 << 20).Clear();
        LuksHeader header = LuksHeader.Read(device);
        Assert.Equal(HeaderCopyState.Damaged, header.PrimaryState);
        header.Repair();
        Assert.False(LuksHeader.Read(device).NeedsRepair);
    }

    /// <summary>Power is cut at each write of an update; the volume then opens with the old or the new header.</summary>
    [Fact]
    public void An_update_that_is_cut_short_anywhere_leaves_a_volume_that_opens()
    {
        MemoryDevice template = Create();
        int cuts = 0;
        for (int writes = 0; ; writes++, cuts++)
        {
            var device = new MemoryDevice([.. template.Bytes]);
            LuksHeader header = LuksHeader.Read(device);
            device.WritesUntilPowerCut = writes;
            bool done = true;
            try
            {
                header.AddKeyslot(_key, "second"u8, LuksKdf.ForRandomSecret);
            }
            catch (VDiskException e) when (e.Kind == FailureKind.InputOutput)
            {
                done = false;
            }

            device.WritesUntilPowerCut = int.MaxValue;
            LuksHeader after = LuksHeader.Read(device);
            after.Unlock("pass"u8).Dispose();
            if (after.Keyslots.Count == 2)
            {
                after.Unlock("second"u8).Dispose();
            }

            after.Repair();
            Assert.False(LuksHeader.Read(device).NeedsRepair);
            if (done)
            {
                Assert.Equal(2, after.Keyslots.Count);
                break;
            }
        }

        Assert.Equal(3, cuts);
    }

    [Fact]
    public void An_update_writes_in_the_documented_order()
    {
        MemoryDevice device = Create();
        LuksHeader header = LuksHeader.Read(device);
        device.Log.Clear();
        header.AddKeyslot(_key, "second"u8, LuksKdf.ForRandomSecret);
        Assert.Equal(["write 290816 256000", "flush", "write 0 16384", "flush", "write 16384 16384", "flush"], device.Log);
        device.Log.Clear();
        header.RemoveKeyslot(0);
        Assert.Equal(["write 32768 258048", "flush", "write 0 16384", "flush", "write 16384 16384", "flush"], device.Log);
        Assert.Equal(1, header.AddKeyslot(_key, "third"u8, LuksKdf.ForRandomSecret) + 1);
        Assert.Equal(32768, header.Keyslots.First(keyslot => keyslot.Number == 0).AreaByteOffset);
    }

    [Fact]
    public void A_removed_keyslot_leaves_nothing_to_open()
    {
        MemoryDevice device = Create();
        LuksHeader header = LuksHeader.Read(device);
        byte[] material = device.Bytes.AsSpan(32768, 256000).ToArray();
        Assert.Equal(FailureKind.NotPermitted, Assert.Throws<VDiskException>(() => header.RemoveKeyslot(0)).Kind);
        header.RemoveKeyslot(0, allowLast: true);
        Assert.Equal(FailureKind.NotFound, Assert.Throws<VDiskException>(() => header.Unlock("pass"u8)).Kind);
        Assert.Equal(FailureKind.NotFound, Assert.Throws<VDiskException>(() => header.RemoveKeyslot(0)).Kind);
        int same = material.Zip(device.Bytes.AsSpan(32768, 256000).ToArray(), (a, b) => a == b ? 1 : 0).Sum();
        Assert.InRange(same, 0, 2000);
    }

    [Fact]
    public void An_update_by_somebody_else_is_noticed()
    {
        MemoryDevice device = Create();
        LuksHeader one = LuksHeader.Read(device);
        LuksHeader other = LuksHeader.Read(device);
        one.Update(edit => edit.SetLabel("one"));
        VDiskException error = Assert.Throws<VDiskException>(() => other.Update(edit => edit.SetLabel("other")));
        Assert.Equal(FailureKind.InUse, error.Kind);
        Assert.Equal("one", LuksHeader.Read(device).Label);
    }

    [Fact]
    public void The_lock_is_held_around_header_writes_only()
    {
        MemoryDevice device = Create();
        var headerLock = new RecordingLock(device.Log);
        LuksHeader header = LuksHeader.Read(device, headerLock);
        device.Log.Clear();
        header.Update(edit => edit.SetLabel("x"));
        Assert.Equal(["lock exclusive", "write 0 16384", "flush", "write 16384 16384", "flush", "unlock"], device.Log);
    }

    [Fact]
    public void Unknown_members_survive_a_rewrite_to_the_letter()
    {
        MemoryDevice device = Create();
        const string Foreign = """{"type":"foo-bar","keyslots":["0"],"n":12345678901234567890.50,"t":"ä+/é\u0001","a":[1,{"b":null}]}""";
        HeaderImage.ChangeText(device, text => Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(
            text.Replace("\"tokens\":{}", $"\"tokens\":{{\"9\":{Foreign}}},\"future\":{{\"x\":1e5}}"))));
        LuksHeader header = LuksHeader.Read(device);
        header.Update(edit => edit.SetFlag(LuksFlag.AllowDiscards, true));
        header.AddKeyslot(_key, "second"u8, LuksKdf.ForRandomSecret);
        header.RemoveKeyslot(1);
        header.Update(edit => edit.SetFlag(LuksFlag.AllowDiscards, false));
        string text = LuksHeader.Read(device).MetadataText;
        Assert.Contains("12345678901234567890.50", text);
        Assert.Contains("\"future\":{\"x\":1e5}", text);
        Assert.Contains("ä+/é\\u0001", text);
        Assert.DoesNotContain("flags", text);
    }

    [Fact]
    public void The_keyslots_and_the_tokens_run_out_with_a_message()
    {
        var device = new MemoryDevice(20 << 20);
        LuksHeader header = LuksFormat.Create(
            device, new LuksFormatParameters { HeaderByteSize = 32768, OverwriteKeyslotsArea = false }, _key);
        for (int i = 0; i < 32; i++)
        {
            Assert.Equal(i, header.AddKeyslot(_key, "pass"u8, LuksKdf.ForRandomSecret));
            header.Update(edit => edit.AddToken(new JsonObject { ["type"] = "t", ["keyslots"] = new JsonArray() }));
        }

        Assert.Equal(FailureKind.NoSpace, Assert.Throws<VDiskException>(() => header.AddKeyslot(_key, "x"u8, LuksKdf.ForRandomSecret)).Kind);
        Assert.Equal(
            FailureKind.NoSpace,
            Assert.Throws<VDiskException>(() => header.Update(edit => edit.AddToken(new JsonObject { ["type"] = "t", ["keyslots"] = new JsonArray() }))).Kind);
        Assert.Equal(
            FailureKind.NoSpace,
            Assert.Throws<VDiskException>(() => header.Update(edit => edit.ReplaceToken(
                0, new JsonObject { ["type"] = "t", ["keyslots"] = new JsonArray(), ["x"] = new string('x', 32768) }))).Kind);
        Assert.False(LuksHeader.Read(device).NeedsRepair);
    }

    [Fact]
    public void A_small_keyslots_area_runs_out_with_a_message()
    {
        MemoryDevice device = Create();
        LuksHeader header = LuksHeader.Read(device);
        header.AddKeyslot(_key, "x"u8, LuksKdf.ForRandomSecret);
        header.AddKeyslot(_key, "x"u8, LuksKdf.ForRandomSecret);
        VDiskException error = Assert.Throws<VDiskException>(() => header.AddKeyslot(_key, "x"u8, LuksKdf.ForRandomSecret));
        Assert.Equal(FailureKind.NoSpace, error.Kind);
    }

    [Fact]
    public void An_invalid_token_is_refused_before_anything_is_written()
    {
        MemoryDevice device = Create();
        LuksHeader header = LuksHeader.Read(device);
        device.Log.Clear();
        Assert.Throws<VDiskException>(() => header.Update(edit => edit.AddToken(new JsonObject { ["type"] = "t" })));
        Assert.Throws<VDiskException>(() => header.Update(edit => edit.RemoveToken(3)));
        Assert.Throws<VDiskException>(() => header.Update(edit => edit.SetLabel(new string('x', 48))));
        using SecretMemory other = AesXtsKey.Generate(64);
        Assert.Equal(
            FailureKind.WrongCredential,
            Assert.Throws<VDiskException>(() => header.AddKeyslot(other, "x"u8, LuksKdf.ForRandomSecret)).Kind);
        Assert.Empty(device.Log);
    }

    [Fact]
    public void Preferred_keyslots_come_first_and_ignored_ones_only_when_asked_for()
    {
        var device = new MemoryDevice(20 << 20);
        LuksHeader header = LuksFormat.Create(device, new LuksFormatParameters { OverwriteKeyslotsArea = false }, _key);
        foreach (LuksKeyslotPriority priority in (LuksKeyslotPriority[])[LuksKeyslotPriority.Ignore, LuksKeyslotPriority.Normal, LuksKeyslotPriority.Prefer])
        {
            header.Update(edit => edit.AddKeyslot(_key, "same"u8, LuksKdf.ForRandomSecret, priority));
        }

        Assert.Equal(2, Opened(null));
        Assert.Equal(0, Opened(0));
        header.RemoveKeyslot(2);
        Assert.Equal(1, Opened(null));
        header.RemoveKeyslot(1);
        Assert.Equal(FailureKind.NotFound, Assert.Throws<VDiskException>(() => Opened(null)).Kind);

        int Opened(int? asked)
        {
            using LuksUnlock unlock = header.Unlock("same"u8, asked);
            return unlock.Keyslot;
        }
    }

    [Theory]
    [InlineData("LUKS1", "LUKS1", FailureKind.Unsupported)]
    [InlineData("BitLocker", "BitLocker", FailureKind.Unsupported)]
    [InlineData("zeros", "zeros", FailureKind.Unsupported)]
    [InlineData("random", "VeraCrypt", FailureKind.Damaged)]
    [InlineData("ext4", "ext4", FailureKind.Unsupported)]
    [InlineData("mbr", "partition table", FailureKind.Unsupported)]
    [InlineData("tiny", "zeros", FailureKind.Unsupported)]
    public void What_is_no_LUKS2_is_named(string content, string named, FailureKind kind)
    {
        var device = new MemoryDevice(content == "tiny" ? 100 : 1 << 20);
        switch (content)
        {
            case "LUKS1":
                ((ReadOnlySpan<byte>)[0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE, 0, 1]).CopyTo(device.Bytes);
                break;
            case "BitLocker":
                "-FVE-FS-"u8.CopyTo(device.Bytes.AsSpan(3));
                break;
            case "random":
                new Random(1).NextBytes(device.Bytes);
                break;
            case "ext4":
                device.Bytes[0] = 1;
                device.Bytes[1080] = 0x53;
                device.Bytes[1081] = 0xEF;
                break;
            case "mbr":
                device.Bytes[510] = 0x55;
                device.Bytes[511] = 0xAA;
                break;
        }

        VDiskException error = Assert.Throws<VDiskException>(() => LuksHeader.Read(device));
        Assert.Equal(kind, error.Kind);
        Assert.Contains(named, error.Message + error.Remedy);
        Assert.False(LuksHeader.IsPresent(device));
    }

    [Fact]
    public void Formatting_forgets_an_older_larger_header()
    {
        var device = new MemoryDevice(20 << 20);
        LuksFormat.Create(device, new LuksFormatParameters { HeaderByteSize = 1 << 20, OverwriteKeyslotsArea = false }, _key);
        LuksFormat.Create(device, new LuksFormatParameters { OverwriteKeyslotsArea = false }, _key);
        device.Bytes.AsSpan(0, 32768).Clear();
        Assert.Equal(FailureKind.Unsupported, Assert.Throws<VDiskException>(() => LuksHeader.Read(device)).Kind);
    }

    [Fact]
    public void Formats_that_cannot_be_are_refused_before_anything_is_written()
    {
        var device = new MemoryDevice(20 << 20);
        var good = new LuksFormatParameters();
        LuksFormatParameters[] bad =
        [
            good with { SectorByteSize = 8192 }, good with { HeaderByteSize = 20000 }, good with { DataByteOffset = 12345 },
            good with { DataByteOffset = 65536 }, good with { DigestIterations = 10 }, good with { DataByteOffset = 20 << 20 },
            good with { Label = new string('x', 48) }, good with { DataByteOffset = -4096 }, good with { HeaderByteSize = -1 },
        ];
        Assert.All(bad, parameters => Assert.Equal(
            FailureKind.Usage, Assert.Throws<VDiskException>(() => LuksFormat.Create(device, parameters, _key)).Kind));
        Assert.Empty(device.Log);
    }

    private MemoryDevice Create()
    {
        var device = new MemoryDevice(DeviceByteLength);
        var parameters = new LuksFormatParameters { DataByteOffset = 1 << 20, OverwriteKeyslotsArea = false };
        LuksFormat.Create(device, parameters, _key).AddKeyslot(_key, "pass"u8, LuksKdf.ForRandomSecret);
        return device;
    }

    private sealed class RecordingLock(List<string> log) : IHeaderLock, IDisposable
    {
        public IDisposable AcquireShared()
        {
            log.Add("lock shared");
            return this;
        }

        public IDisposable AcquireExclusive()
        {
            log.Add("lock exclusive");
            return this;
        }

        public void Dispose() => log.Add("unlock");
    }
}
