package transport

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// writeBuffer is the requested size of the buffer of a connection, in bytes. With the
// default of the kernel a worker that writes 256 KiB waits for its reader each time.
const writeBuffer = 1 << 20

// SocketPath returns the path of a worker's socket for bytes in the directory of
// the sockets of a host.
func SocketPath(dir, worker string) string { return filepath.Join(dir, worker+".http") }

// Listen creates a socket, and replaces the one of a killed process. Its Accept
// returns connections of this user, of root and of the given group only, whose
// peers have yet to prove their certificate: see [Handshake]. The group must be one
// of this process, or fdsock.NoGroup.
func Listen(path string, group int, logger *slog.Logger) (net.Listener, error) {
	return listen("unix", path, group, logger)
}

// ListenPackets is like Listen for a socket of packets. They carry the handshake as a
// stream of bytes, after which Conn.Packets returns the connection.
func ListenPackets(path string, group int, logger *slog.Logger) (net.Listener, error) {
	return listen(fdsock.Network, path, group, logger)
}

func listen(network, path string, group int, logger *slog.Logger) (net.Listener, error) {
	inner, err := fdsock.Listen(network, path, group)
	if err != nil {
		return nil, err
	}
	return &listener{UnixListener: inner, group: group, packets: network == fdsock.Network, logger: logger}, nil
}

type listener struct {
	*net.UnixListener
	group   int
	packets bool
	logger  *slog.Logger
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err //nolint:wrapcheck // a Listener like the one it wraps
		}
		if err := l.check(c); err != nil {
			l.logger.Warn("refused a connection to a socket", "path", l.Addr().String(), "error", err)
			_ = c.Close()
			continue
		}
		if l.packets {
			return fdsock.NewStream(c), nil
		}
		_ = c.SetWriteBuffer(writeBuffer) // As much of it as the kernel permits.
		return c, nil
	}
}

// check returns an error if the peer's user may not connect.
func (l *listener) check(c *net.UnixConn) error {
	peer, err := fdsock.Peer(c)
	if err != nil {
		return err
	}
	return allowedClient(peer, os.Geteuid(), l.group)
}

func allowedClient(peer *unix.Ucred, user, group int) error {
	if mutantAnyUser {
		return nil
	}
	return fdsock.AllowClient(peer, user, group)
}

func allowedServer(peer *unix.Ucred, user int) error {
	if mutantAnyUser {
		return nil
	}
	return fdsock.AllowServer(peer, user)
}
