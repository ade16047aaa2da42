//go:build linux

package fusefd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// messageSize is the largest size of a message, in bytes.
const messageSize = 64 << 10

// shortPath returns a name of at most 108 bytes, the limit of unix(7), for a
// socket with a path of any length: a path through a descriptor of its directory.
// The caller must close the directory after use.
func shortPath(path string) (string, *os.File, error) {
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", nil, fmt.Errorf("open the directory of socket %s: %w", path, err)
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path)), dir, nil
}

// lockInterval is the time between two attempts to lock a directory.
const lockInterval = 5 * time.Millisecond

// lockDir locks the directory of a socket until the file that it returns is closed,
// or returns an error when the context ends. Between bind(2) and listen(2) a socket
// refuses connections like that of a killed holder, so that only a holder with the
// lock may remove one.
func lockDir(ctx context.Context, path string) (*os.File, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return dir, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			_ = dir.Close()
			return nil, &os.PathError{Op: "flock", Path: dir.Name(), Err: err}
		}
		select {
		case <-ctx.Done():
			_ = dir.Close()
			return nil, fmt.Errorf("wait for the lock of %s: %w", dir.Name(), context.Cause(ctx))
		case <-time.After(lockInterval):
		}
	}
}

// listen listens at path. It replaces a socket without a listener, and returns
// ErrBusy for one with a listener.
func listen(ctx context.Context, path string) (*net.UnixListener, error) {
	lock, err := lockDir(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	defer func() { _ = lock.Close() }()
	short, dir, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	if conn, err := net.Dial(fdsock.Network, short); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listen on %s: another holder listens there: %w", path, ErrBusy)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		_ = os.Remove(path)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, fdsock.Network, short)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l, ok := listener.(*net.UnixListener)
	if !ok {
		_ = listener.Close()
		return nil, fmt.Errorf("listen on %s: got a %T", path, listener)
	}
	// The name refers to a descriptor that is closed by then.
	l.SetUnlinkOnClose(false)
	return l, nil
}

func dial(ctx context.Context, path string) (*net.UnixConn, error) {
	short, dir, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, fdsock.Network, short)
	if err != nil {
		return nil, fmt.Errorf("connect to the holder at %s: %w", path, err)
	}
	c, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("connect to the holder at %s: got a %T", path, conn)
	}
	return c, nil
}

// send sends one message with descriptors.
func send(conn *net.UnixConn, m message, files ...*os.File) error {
	data, err := m.encode()
	if err != nil {
		return err
	}
	if err := fdsock.Send(conn, data, files...); err != nil {
		return fmt.Errorf("send %s: %w", m.Kind, err)
	}
	return nil
}

// receive receives one message. The caller must close the descriptors.
func receive(conn *net.UnixConn) (message, []int, error) {
	data := make([]byte, messageSize)
	n, fds, err := fdsock.Receive(conn, data)
	if err != nil {
		return message{}, nil, fmt.Errorf("receive: %w", err)
	}
	m, err := decodeMessage(data[:n])
	if err != nil {
		fdsock.Close(fds)
		return message{}, nil, err
	}
	return m, fds, nil
}

// receiveDescriptors receives one message from a blocking socket and returns its
// descriptors, at least one.
func receiveDescriptors(socket int) ([]int, error) {
	data, control := make([]byte, 16), make([]byte, unix.CmsgSpace(4*fdsock.MaxFiles))
	_, n, _, _, err := unix.Recvmsg(socket, data, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	fds := fdsock.Descriptors(control[:n])
	if len(fds) == 0 {
		return nil, errors.New("receive: message without descriptor")
	}
	return fds, nil
}
