namespace VDiskCrypt.Ext4.Journal;

/// <summary>Where the log holds a block.</summary>
/// <param name="LogBlock">The block's number in the journal.</param>
/// <param name="Sequence">The transaction.</param>
/// <param name="IsEscaped">The first four bytes are the journal's magic number, zeros in the log.</param>
internal readonly record struct LoggedBlock(uint LogBlock, uint Sequence, bool IsEscaped);
