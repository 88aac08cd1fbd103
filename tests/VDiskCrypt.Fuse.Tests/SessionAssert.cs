using Xunit;

namespace VDiskCrypt.Fuse.Tests;

internal static class SessionAssert
{
    /// <summary>Asserts that the session ends soon.</summary>
    public static void Ends(FuseSession session) =>
        Assert.True(session.Completion.Wait(20_000), "the session does not end");
}
