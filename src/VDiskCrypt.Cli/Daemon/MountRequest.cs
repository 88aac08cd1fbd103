using System.Text.Json;
using System.Text.Json.Serialization;

namespace VDiskCrypt.Cli;

/// <summary>What a daemon is asked to mount; no secret in it.</summary>
internal sealed record MountRequest
{
    /// <summary>A short name of the mount point, for its socket and its log.</summary>
    public required string Id { get; init; }

    /// <summary>Absolute path of the image.</summary>
    public required string Image { get; init; }

    /// <summary>From 1; null for the only volume.</summary>
    public int? Partition { get; init; }

    /// <summary>Absolute path of the mount point.</summary>
    public required string MountPoint { get; init; }

    public bool ReadOnly { get; init; }

    /// <summary>Others than the mounting user may enter (FUSE's allow_other).</summary>
    public bool AllowOther { get; init; }

    /// <summary>Freed blocks are discarded down to the image, where the header allows it.</summary>
    public bool Discard { get; init; }

    /// <summary>Writes reach the filesystem one by one and in order, not through the kernel's writeback cache.</summary>
    public bool StrictOrder { get; init; }

    /// <summary>Where the daemon's messages go.</summary>
    public required string LogPath { get; init; }

    /// <summary>Where the control socket goes.</summary>
    public required string RuntimeFolder { get; init; }

    /// <summary>Where it is remembered which volumes have an authenticated header.</summary>
    public required string KnownVolumesFolder { get; init; }
}

/// <summary>What the daemon tells the process that started it, once.</summary>
internal sealed record DaemonAnswer
{
    public bool Ready { get; init; }

    public string? FailureKind { get; init; }

    public string? What { get; init; }

    public string? Where { get; init; }

    public string? Remedy { get; init; }

    public string[] Notices { get; init; } = [];
}

/// <summary>A live mount, as its state file and its control socket describe it.</summary>
internal sealed record MountState
{
    public required MountRequest Request { get; init; }

    public required int ProcessId { get; init; }

    public required DateTimeOffset Since { get; init; }

    public required string VolumeUuid { get; init; }

    /// <summary>How requests reach the daemon: dev-fuse or io_uring.</summary>
    public required string Transport { get; init; }

    public long ReadByteCount { get; init; }

    public long WrittenByteCount { get; init; }

    public long ReadRequestCount { get; init; }

    public long WriteRequestCount { get; init; }

    public long RequestCount { get; init; }
}

/// <summary>The end of a mount, as told on the control socket.</summary>
internal sealed record MountEnd
{
    /// <summary>Null when everything was written.</summary>
    public string? Failure { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(MountRequest))]
[JsonSerializable(typeof(DaemonAnswer))]
[JsonSerializable(typeof(MountState))]
[JsonSerializable(typeof(MountEnd))]
internal sealed partial class DaemonJson : JsonSerializerContext;
