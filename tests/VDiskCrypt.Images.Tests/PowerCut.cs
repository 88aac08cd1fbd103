namespace VDiskCrypt.Images.Tests;

/// <summary>What may be on the disk after power fails at some point of a trace.</summary>
internal static class PowerCut
{
    private const int AtomicByteSize = 512;

    /// <summary>
    /// The file as it was at the start, with everything up to the last flush before <paramref name="cut"/>, and of what
    /// came after it, up to the cut, an arbitrary part: operations are lost, writes are torn at 512 bytes.
    /// </summary>
    public static SimulatedFile Cut(SimulatedFile start, IReadOnlyList<FileOperation> trace, int cut, Random random, double keep)
    {
        SimulatedFile file = start.Copy();
        int lastFlush = -1;
        for (int i = 0; i < cut; i++)
        {
            lastFlush = trace[i] is FileOperation.Flush ? i : lastFlush;
        }

        for (int i = 0; i <= lastFlush; i++)
        {
            file.Apply(trace[i]);
        }

        for (int i = lastFlush + 1; i < cut; i++)
        {
            ApplyPart(file, trace[i], random, keep);
        }

        return file;
    }

    private static void ApplyPart(SimulatedFile file, FileOperation operation, Random random, double keep)
    {
        if (operation is not FileOperation.Write write)
        {
            if (random.NextDouble() < keep)
            {
                file.Apply(operation);
            }

            return;
        }

        if (write.IsDurable)
        {
            // Forced to the medium, and it alone: what was written before it may still be lost.
            file.Apply(write);
            return;
        }

        // Each unit on its own, as a disk with a cache may do it; half the time the write is whole or gone.
        bool isTorn = random.Next(2) == 0;
        bool isKept = random.NextDouble() < keep;
        for (int position = 0; position < write.Bytes.Length;)
        {
            int count = (int)Math.Min(
                AtomicByteSize - (write.ByteOffset + position) % AtomicByteSize, write.Bytes.Length - position);
            if (isTorn ? random.NextDouble() < keep : isKept)
            {
                file.Apply(new FileOperation.Write(write.ByteOffset + position, write.Bytes[position..(position + count)]));
            }

            position += count;
        }
    }
}
