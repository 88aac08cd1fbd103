namespace VDiskCrypt.Ext4.Concurrency;

/// <summary>
/// A lock that many readers or one writer hold. Writers go before new readers, so it must not be entered twice by one
/// thread. Smaller and cheaper than ReaderWriterLockSlim; one lies in every cached inode.
/// </summary>
internal sealed class SharedLock
{
    private const int Exclusive = -1;

    private int _state;
    private int _waitingWriters;

    public void EnterShared()
    {
        lock (this)
        {
            while (_state == Exclusive || _waitingWriters > 0)
            {
                Monitor.Wait(this);
            }

            _state++;
        }
    }

    public void ExitShared()
    {
        lock (this)
        {
            if (--_state == 0 && _waitingWriters > 0)
            {
                Monitor.PulseAll(this);
            }
        }
    }

    public void EnterExclusive()
    {
        lock (this)
        {
            _waitingWriters++;
            while (_state != 0)
            {
                Monitor.Wait(this);
            }

            _waitingWriters--;
            _state = Exclusive;
        }
    }

    public bool TryEnterExclusive()
    {
        lock (this)
        {
            if (_state != 0)
            {
                return false;
            }

            _state = Exclusive;
            return true;
        }
    }

    public void ExitExclusive()
    {
        lock (this)
        {
            _state = 0;
            Monitor.PulseAll(this);
        }
    }
}
