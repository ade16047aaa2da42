//go:build linux

package fdsock

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// NoGroup is the group of a socket that only its user and root may connect to.
const NoGroup = -1

// Listen creates a socket of a network, "unix" or [Network], and replaces the one of
// a killed process. The mode of the socket lets its user and root connect, and
// processes with the given group, which must be a group of this process or NoGroup.
// The mode does not bind processes that hold the directory open: see [AllowClient].
func Listen(network, path string, group int) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	listener, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := setMode(path, group); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return listener, nil
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

// AllowClient returns an error unless a client is of the user, of root or of the
// group.
func AllowClient(peer *unix.Ucred, user, group int) error {
	if peer.Uid == 0 || int(peer.Uid) == user || group != NoGroup && int(peer.Gid) == group {
		return nil
	}
	return fmt.Errorf("the client runs as user %d and group %d", peer.Uid, peer.Gid)
}

// AllowServer returns an error unless a server is of the user or of root: what any
// other process sends could be forged.
func AllowServer(peer *unix.Ucred, user int) error {
	if peer.Uid == 0 || int(peer.Uid) == user {
		return nil
	}
	return fmt.Errorf("the server runs as user %d, not as user %d or root", peer.Uid, user)
}
