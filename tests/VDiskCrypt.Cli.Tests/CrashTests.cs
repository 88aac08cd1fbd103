using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

public sealed class CrashTests
{
    /// <summary>A few rounds of tools/crash-soak, which runs hundreds on its own.</summary>
    [Fact]
    public void A_daemon_killed_under_load_loses_nothing_that_was_synced()
    {
        Installation.RequireFuse();
        ExternalTool.Require("jq");
        ToolResult result = ExternalTool.Bash(
            "VDISKCRYPT_COMMAND=\"$2\" \"$1\" 4 1", Checkout.Tool("crash-soak"), Installation.Command).Succeeded();
        Assert.Matches("4 rounds: [1-9][0-9]* files and [1-9][0-9]* lines as promised", result.Output);
    }
}
