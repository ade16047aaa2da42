package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// NoGroup is the group of a socket that only its user and root may connect to.
const NoGroup = -1

// writeBuffer is the requested size of the buffer of a connection, in bytes. With the
// default of the kernel a worker that writes 256 KiB waits for its reader each time.
const writeBuffer = 1 << 20

// SocketPath returns the path of a worker's socket for bytes in the directory of
// the sockets of a host.
func SocketPath(dir, worker string) string { return filepath.Join(dir, worker+".http") }

// Listen creates a socket, and replaces the one of a killed process. Its Accept
// returns connections of this user, of root and of the given group only, whose
// peers have yet to prove their certificate: see [Handshake]. The group must be one
// of this process, or NoGroup.
func Listen(path string, group int, logger *slog.Logger) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	inner, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := setMode(path, group); err != nil {
		_ = inner.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &listener{UnixListener: inner, group: group, logger: logger}, nil
}

// setMode sets the owner and the mode of a socket.
func setMode(path string, group int) error {
	if group == NoGroup {
		return os.Chmod(path, 0o600)
	}
	if err := os.Chown(path, -1, group); err != nil {
		return err
	}
	return os.Chmod(path, 0o660)
}

type listener struct {
	*net.UnixListener
	group  int
	logger *slog.Logger
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err //nolint:wrapcheck // a Listener like the one it wraps
		}
		if err := l.check(c); err != nil {
			l.logger.Warn("refused a connection to the socket for bytes", "error", err)
			_ = c.Close()
			continue
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

// allowedClient returns an error unless a client is of the user, of root or of the
// group.
func allowedClient(peer *unix.Ucred, user, group int) error {
	if mutantAnyUser || peer.Uid == 0 || int(peer.Uid) == user || group != NoGroup && int(peer.Gid) == group {
		return nil
	}
	return fmt.Errorf("the client runs as user %d and group %d", peer.Uid, peer.Gid)
}

// allowedServer returns an error unless a server is of the user or of root: the
// bytes of any other process could be forged.
func allowedServer(peer *unix.Ucred, user int) error {
	if mutantAnyUser || peer.Uid == 0 || int(peer.Uid) == user {
		return nil
	}
	return fmt.Errorf("the server runs as user %d, not as user %d or root", peer.Uid, user)
}
