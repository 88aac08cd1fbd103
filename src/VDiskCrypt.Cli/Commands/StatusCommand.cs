using System.CommandLine;
using System.Text.Json.Nodes;

namespace VDiskCrypt.Cli;

/// <summary>`status`: what this user has mounted, with throughput and where each daemon logs.</summary>
internal sealed class StatusCommand
{
    private static readonly TimeSpan SamplingTime = TimeSpan.FromSeconds(1);

    private readonly Option<bool> _watch = new("--watch") { Description = "print it again every second, with the rates" };

    public static Command Build()
    {
        var command = new Command("status", """
            show what is mounted
            Example: vdiskcrypt status --watch
            """);
        var status = new StatusCommand();
        command.Options.Add(status._watch);
        command.SetBody(status.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        List<MountState> states = Sample();
        Show(report, states, previous: null);
        while (parsed.GetValue(_watch))
        {
            Thread.Sleep(SamplingTime);
            List<MountState> next = Sample();
            Show(report, next, states);
            states = next;
        }
    }

    private static List<MountState> Sample()
    {
        var states = new List<MountState>();
        foreach (ControlClient client in ControlClient.All())
        {
            using (client)
            {
                states.Add(client.State);
            }
        }

        return states;
    }

    private static void Show(Report report, List<MountState> states, List<MountState>? previous)
    {
        var mounts = new JsonArray();
        var lines = new List<string>();
        foreach (MountState state in states)
        {
            MountState? before = previous?.Find(other => other.ProcessId == state.ProcessId);
            long readRate = before is null ? 0 : state.ReadByteCount - before.ReadByteCount;
            long writeRate = before is null ? 0 : state.WrittenByteCount - before.WrittenByteCount;
            mounts.Add((JsonNode)Document(state, readRate, writeRate));
            lines.Add($"{state.Request.MountPoint}  {state.Request.Image}{(state.Request.Partition is { } n ? $"#{n}" : "")}"
                + $"{(state.Request.ReadOnly ? "  read-only" : "")}  pid {state.ProcessId}  {state.Transport}");
            lines.Add($"  read {ByteSize.Format(state.ReadByteCount)}, written {ByteSize.Format(state.WrittenByteCount)}, {state.RequestCount} requests"
                + (before is null ? "" : $"; now {ByteSize.Format(readRate)}/s read, {ByteSize.Format(writeRate)}/s written"));
            lines.Add($"  log {state.Request.LogPath}");
        }

        report.Result(new JsonObject { ["mounts"] = mounts }, lines);
    }

    private static JsonObject Document(MountState state, long readRate, long writeRate) => new()
    {
        ["mountPoint"] = state.Request.MountPoint,
        ["image"] = state.Request.Image,
        ["partition"] = state.Request.Partition,
        ["readOnly"] = state.Request.ReadOnly,
        ["uuid"] = state.VolumeUuid,
        ["processId"] = state.ProcessId,
        ["since"] = state.Since.ToString("O"),
        ["transport"] = state.Transport,
        ["log"] = state.Request.LogPath,
        ["readByteCount"] = state.ReadByteCount,
        ["writtenByteCount"] = state.WrittenByteCount,
        ["requestCount"] = state.RequestCount,
        ["readBytesPerSecond"] = readRate,
        ["writtenBytesPerSecond"] = writeRate,
    };
}
