using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>
/// The daemon's end of its control socket, in a folder that only its user may enter. A client that connects gets the
/// state as one line of JSON, and a second line, the end, when the mount is gone and everything below is closed.
/// </summary>
internal sealed class ControlSocket : IDisposable
{
    /// <summary>More are turned away: each costs a descriptor for as long as it waits.</summary>
    private const int MaximumClients = 64;

    private const int SendTimeoutMs = 1000;
    private const int RetryMs = 100;

    private readonly Socket _listener;
    private readonly string _path;
    private readonly Func<MountState> _state;
    private readonly List<Socket> _clients = [];

    public ControlSocket(string path, Func<MountState> state)
    {
        _path = path;
        _state = state;

        // Under another name until it listens: a command that finds a socket nobody serves removes it.
        string partial = path[..^HostPaths.SocketExtension.Length];
        File.Delete(partial);
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _listener.Bind(new UnixDomainSocketEndPoint(partial));
        _listener.Listen(MaximumClients);
        File.Move(partial, path, overwrite: true);
        new Thread(Accept) { IsBackground = true, Name = "control" }.Start();
    }

    /// <summary>Tells everyone who waits how it ended, and closes.</summary>
    public void End(MountEnd end)
    {
        lock (_clients)
        {
            foreach (Socket client in _clients)
            {
                TrySend(client, JsonSerializer.Serialize(end, DaemonJson.Default.MountEnd));
                client.Dispose();
            }

            _clients.Clear();
        }

        Dispose();
    }

    public void Dispose()
    {
        _listener.Dispose();
        File.Delete(_path);
    }

    private static bool TrySend(Socket client, string line)
    {
        try
        {
            client.Send(Encoding.UTF8.GetBytes(line + "\n"));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private void Accept()
    {
        try
        {
            while (true)
            {
                if (AcceptOne() is not { } client)
                {
                    continue;
                }

                bool sent = TrySend(client, JsonSerializer.Serialize(_state(), DaemonJson.Default.MountState));
                lock (_clients)
                {
                    _clients.RemoveAll(HasHungUp);
                    if (sent && _clients.Count < MaximumClients)
                    {
                        _clients.Add(client);
                        continue;
                    }
                }

                client.Dispose();
            }
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // The listener was closed: the mount has ended.
        }
    }

    /// <summary>Null where a client gave up or descriptors ran out, which must not end the control of a live mount.</summary>
    private Socket? AcceptOne()
    {
        try
        {
            Socket client = _listener.Accept();
            client.SendTimeout = SendTimeoutMs;
            return client;
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.ConnectionAborted or SocketError.ConnectionReset
            or SocketError.TooManyOpenSockets or SocketError.NoBufferSpaceAvailable)
        {
            Thread.Sleep(RetryMs);
            return null;
        }
    }

    private static bool HasHungUp(Socket client)
    {
        if (client.Poll(0, SelectMode.SelectRead))
        {
            client.Dispose();
            return true;
        }

        return false;
    }
}

/// <summary>The command's end: finds live mounts and waits for their end.</summary>
internal sealed class ControlClient : IDisposable
{
    private readonly Socket _socket;
    private readonly StreamReader _reader;

    private ControlClient(Socket socket)
    {
        _socket = socket;
        _reader = new StreamReader(new NetworkStream(socket), Encoding.UTF8);
        State = JsonSerializer.Deserialize(_reader.ReadLine() ?? "", DaemonJson.Default.MountState)
            ?? throw new VDiskException(FailureKind.Internal, "the daemon sent no state", null);
    }

    public MountState State { get; }

    /// <summary>Every mount of this user that answers. Sockets that nobody serves any more are removed.</summary>
    public static IEnumerable<ControlClient> All()
    {
        foreach (string path in Directory.EnumerateFiles(HostPaths.RuntimeFolder, "*" + HostPaths.SocketExtension).Order(StringComparer.Ordinal))
        {
            if (TryConnect(path) is { } client)
            {
                yield return client;
            }
        }
    }

    /// <summary>The mount at a mount point or of an image, or null.</summary>
    public static ControlClient? Find(string mountPointOrImage)
    {
        string path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(mountPointOrImage));
        ControlClient? found = null;
        foreach (ControlClient client in All())
        {
            if (found is null && (client.State.Request.MountPoint == path || client.State.Request.Image == path))
            {
                found = client;
            }
            else
            {
                client.Dispose();
            }
        }

        return found;
    }

    /// <summary>Waits until the daemon has closed everything.</summary>
    /// <returns>Null when the time ran out.</returns>
    public MountEnd? WaitForEnd(int timeoutMs)
    {
        _socket.ReceiveTimeout = timeoutMs;
        try
        {
            string? line = _reader.ReadLine();
            return line is null
                ? new MountEnd { Failure = "the daemon ended without a word" }
                : JsonSerializer.Deserialize(line, DaemonJson.Default.MountEnd);
        }
        catch (IOException)
        {
            return null;
        }
    }

    public void Dispose()
    {
        _reader.Dispose();
        _socket.Dispose();
    }

    private static ControlClient? TryConnect(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 2000 };
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return new ControlClient(socket);
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionRefused)
        {
            socket.Dispose();
            File.Delete(path);
            return null;
        }
        catch (Exception error) when (error is SocketException or IOException or JsonException)
        {
            socket.Dispose();
            return null;
        }
    }
}
