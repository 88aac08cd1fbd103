namespace VDiskCrypt.Volumes;

/// <summary>What a rotation did, or would do.</summary>
/// <param name="NewKeyId">Null in a plan where the new key would have to be made first.</param>
/// <param name="AddsKeyslot">False where an interrupted rotation had added it before.</param>
/// <param name="DroppedKeyIds">The versioned ids of the keys that open the volume no longer.</param>
/// <param name="BackupPath">Null where nothing was changed.</param>
public sealed record KekRotation(string? NewKeyId, bool AddsKeyslot, IReadOnlyList<string> DroppedKeyIds, string? BackupPath);
