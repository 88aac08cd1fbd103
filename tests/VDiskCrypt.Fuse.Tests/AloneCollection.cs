using Xunit;

namespace VDiskCrypt.Fuse.Tests;

/// <summary>Tests that count what the whole process has: descriptors, threads, allocated bytes.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public sealed class AloneCollection;
