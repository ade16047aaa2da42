//go:build linux

package fusefs

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errDisconnected says that the kernel has ended the connection.
var errDisconnected = errors.New("the mount is gone")

// errStopped says that reading was stopped.
var errStopped = errors.New("reading was stopped")

// device is the fuse descriptor. It must stay open while it is used.
type device struct {
	file *os.File
	raw  syscall.RawConn
	// fd is used directly for what cannot block.
	fd int
}

func newDevice(file *os.File) (*device, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("using the fuse descriptor: %w", err)
	}
	d := &device{file: file, raw: raw}
	if err := raw.Control(func(fd uintptr) { d.fd = int(fd) }); err != nil {
		return nil, fmt.Errorf("using the fuse descriptor: %w", err)
	}
	if err := unix.SetNonblock(d.fd, true); err != nil {
		return nil, fmt.Errorf("using the fuse descriptor: %w", err)
	}
	return d, nil
}

// read takes one request from the kernel. It waits in the runtime's poller, so
// that a server that waits holds no threads and can be stopped.
func (d *device) read(buffer []byte) error {
	for {
		_, err := unix.Read(d.fd, buffer)
		if errors.Is(err, unix.EAGAIN) {
			err = d.wait(buffer)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			// The request was taken back before it was read.
		case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ECONNABORTED):
			return errDisconnected
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
			return errStopped
		default:
			return fmt.Errorf("reading from the kernel: %w", err)
		}
	}
}

func (d *device) wait(buffer []byte) error {
	var err error
	waitErr := d.raw.Read(func(fd uintptr) bool {
		_, err = unix.Read(int(fd), buffer)
		return !errors.Is(err, unix.EAGAIN)
	})
	if waitErr == nil {
		return err
	}
	// The poller reports the end of the connection as an error of its own; the
	// device says what it is.
	if !errors.Is(waitErr, os.ErrDeadlineExceeded) && !errors.Is(waitErr, os.ErrClosed) {
		if _, err := unix.Read(d.fd, buffer); !errors.Is(err, unix.EAGAIN) {
			return err
		}
	}
	return waitErr
}

// write gives the kernel a reply or a notification.
func (d *device) write(message []byte) error {
	for {
		_, err := unix.Write(d.fd, message)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// stop makes every read return errStopped.
func (d *device) stop() error { return d.file.SetReadDeadline(time.Unix(1, 0)) }
