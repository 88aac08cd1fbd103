namespace VDiskCrypt.Luks;

public sealed partial class LuksHeader
{
    /// <summary>Destroys every keyslot and takes all tokens out of both copies: nothing in the image opens it any more.</summary>
    /// <remarks>
    /// The order: 1. the whole keyslots area is overwritten, remains of earlier keyslots included, flush; from here on
    /// nobody opens the volume; 2. the header forgets keyslots and tokens, in both copies. Cut short, it can be run again.
    /// </remarks>
    /// <exception cref="Core.VDiskException">ReadOnly, Unsupported (unknown requirements); nothing was changed then.</exception>
    public void Erase()
    {
        RequireWritable();
        RequireKnownFeatures();
        if (NeedsRepair)
        {
            Repair();
        }

        using (_lock.AcquireExclusive())
        {
            RequireUnchangedOnDisk();
            LuksFormat.FillRandom(_device, 2L * HeaderByteSize, _metadata.KeyslotsByteSize);
            _device.Flush();
        }

        Update(edit =>
        {
            foreach (int token in Tokens.Select(token => token.Number).ToArray())
            {
                edit.RemoveToken(token);
            }

            foreach (int keyslot in Keyslots.Select(keyslot => keyslot.Number).ToArray())
            {
                edit.RemoveKeyslot(keyslot, allowLast: true);
            }
        });
    }
}
