using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.Transactions;

/// <summary>
/// Flushes of the device, shared: whoever needs one that begins after a moment takes part in the next, or is served by one
/// that another began since.
/// </summary>
internal sealed class FlushGate(IBlockDevice device)
{
    private readonly object _gate = new();
    private long _begun;
    private long _completed;
    private long _failedThrough;
    private VDiskException? _failure;
    private bool _isFlushing;

    /// <summary>This moment, for <see cref="FlushSince"/>.</summary>
    public long Now
    {
        get
        {
            lock (_gate)
            {
                return _begun;
            }
        }
    }

    /// <summary>Returns once a flush that began after now has ended.</summary>
    public void Flush() => FlushSince(Now);

    /// <summary>Returns once a flush that began after <paramref name="moment"/> has ended.</summary>
    public void FlushSince(long moment)
    {
        long mine;
        lock (_gate)
        {
            while (true)
            {
                if (_failure is not null && moment < _failedThrough)
                {
                    throw new VDiskException(_failure.Kind, _failure.Message, _failure.Where, _failure.Remedy, _failure);
                }

                if (_completed > moment)
                {
                    return;
                }

                if (!_isFlushing)
                {
                    break;
                }

                Monitor.Wait(_gate);
            }

            _isFlushing = true;
            mine = ++_begun;
        }

        VDiskException? failure = null;
        try
        {
            device.Flush();
        }
        catch (VDiskException exception)
        {
            failure = exception;
            throw;
        }
        finally
        {
            lock (_gate)
            {
                _isFlushing = false;
                if (failure is not null)
                {
                    // Those who waited for this flush learn of its failure: a second try may succeed without their data.
                    _failure = failure;
                    _failedThrough = mine;
                }
                else
                {
                    _completed = mine;
                }

                Monitor.PulseAll(_gate);
            }
        }
    }
}
