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

	"golang.org/x/sys/unix"
)

// messageSize bounds a message, in bytes.
const messageSize = 64 << 10

// maxDescriptors bounds what one message carries.
const maxDescriptors = 8

// network keeps messages apart and reports the end of the other side.
const network = "unixpacket"

// shortPath gives a name of at most 108 bytes to a socket of any path: through
// a descriptor of its directory. The directory must be closed after use.
func shortPath(path string) (string, *os.File, error) {
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", nil, fmt.Errorf("opening the directory of socket %s: %w", path, err)
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path)), dir, nil
}

// listen takes the socket's name, also from a socket that nobody listens on
// any more.
func listen(ctx context.Context, path string) (*net.UnixListener, error) {
	short, dir, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	if conn, err := net.Dial(network, short); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listening on %s: another holder listens there: %w", path, ErrBusy)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		_ = os.Remove(path)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, network, short)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	l, ok := listener.(*net.UnixListener)
	if !ok {
		_ = listener.Close()
		return nil, fmt.Errorf("listening on %s: got a %T", path, listener)
	}
	// Its name goes through a descriptor that is closed by then.
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
	conn, err := dialer.DialContext(ctx, network, short)
	if err != nil {
		return nil, fmt.Errorf("connecting to the holder at %s: %w", path, err)
	}
	c, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("connecting to the holder at %s: got a %T", path, conn)
	}
	return c, nil
}

// peerOf is who the kernel says connected.
func peerOf(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("asking for the peer: %w", err)
	}
	var cred *unix.Ucred
	var inner error
	if err := raw.Control(func(fd uintptr) {
		cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, fmt.Errorf("asking for the peer: %w", err)
	}
	if inner != nil {
		return nil, fmt.Errorf("asking for the peer: %w", inner)
	}
	return cred, nil
}

// send one message with descriptors.
func send(conn *net.UnixConn, m message, files ...*os.File) error {
	data, err := m.encode()
	if err != nil {
		return err
	}
	return withDescriptors(files, nil, func(fds []int) error {
		var control []byte
		if len(fds) > 0 {
			control = unix.UnixRights(fds...)
		}
		if _, _, err := conn.WriteMsgUnix(data, control, nil); err != nil {
			return fmt.Errorf("sending %s: %w", m.Kind, err)
		}
		return nil
	})
}

// withDescriptors lends the numbers of open files without changing their mode,
// as File.Fd might.
func withDescriptors(files []*os.File, fds []int, use func([]int) error) error {
	if len(files) == 0 {
		return use(fds)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return fmt.Errorf("lending a descriptor: %w", err)
	}
	var inner error
	if err := raw.Control(func(fd uintptr) {
		inner = withDescriptors(files[1:], append(fds, int(fd)), use)
	}); err != nil {
		return fmt.Errorf("lending a descriptor: %w", err)
	}
	return inner
}

// receive one message. Descriptors are the caller's to close.
func receive(conn *net.UnixConn) (message, []int, error) {
	data, control := make([]byte, messageSize), make([]byte, unix.CmsgSpace(4*maxDescriptors))
	n, oobn, flags, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		return message{}, nil, fmt.Errorf("receiving: %w", err)
	}
	fds := descriptorsOf(control[:oobn])
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		closeAll(fds)
		return message{}, nil, errors.New("receiving: the message was cut short")
	}
	if n == 0 {
		closeAll(fds)
		return message{}, nil, fmt.Errorf("receiving: %w", net.ErrClosed)
	}
	m, err := decodeMessage(data[:n])
	if err != nil {
		closeAll(fds)
		return message{}, nil, err
	}
	return m, fds, nil
}

// receiveDescriptors takes the descriptors of one message from a blocking
// socket; at least one.
func receiveDescriptors(socket int) ([]int, error) {
	data, control := make([]byte, 16), make([]byte, unix.CmsgSpace(4*maxDescriptors))
	_, n, _, _, err := unix.Recvmsg(socket, data, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receiving: %w", err)
	}
	fds := descriptorsOf(control[:n])
	if len(fds) == 0 {
		return nil, errors.New("receiving: no descriptor came")
	}
	return fds, nil
}

// descriptorsOf a control message, which the kernel wrote.
func descriptorsOf(control []byte) []int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	var fds []int
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
