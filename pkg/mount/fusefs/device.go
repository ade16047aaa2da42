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

// errDisconnected means that the kernel has ended the connection, because the
// mount was unmounted or aborted.
var errDisconnected = errors.New("the mount does not exist any more")

// errStopped means that a loop ended because the server is stopping.
var errStopped = errors.New("the server is stopping")

// device is the FUSE descriptor. The file must stay open while the device is in
// use. Its methods are safe for concurrent use.
type device struct {
	file *os.File
	raw  syscall.RawConn
	// fd is used directly by calls that cannot block.
	fd int
}

func newDevice(file *os.File) (*device, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("set up the FUSE descriptor: %w", err)
	}
	d := &device{file: file, raw: raw}
	if err := raw.Control(func(fd uintptr) { d.fd = int(fd) }); err != nil {
		return nil, fmt.Errorf("set up the FUSE descriptor: %w", err)
	}
	if err := unix.SetNonblock(d.fd, true); err != nil {
		return nil, fmt.Errorf("set up the FUSE descriptor: %w", err)
	}
	return d, nil
}

// read reads one request from the kernel into buffer, and blocks until there is
// one. It waits in the runtime's poller, so that a waiting server occupies no
// threads and can be stopped.
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
			// The kernel withdrew the request before it was read.
		case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ECONNABORTED):
			return errDisconnected
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
			return errStopped
		default:
			return fmt.Errorf("read a request from the kernel: %w", err)
		}
	}
}

// wait blocks until a request can be read, and reads it.
func (d *device) wait(buffer []byte) error {
	var err error
	waitErr := d.raw.Read(func(fd uintptr) bool {
		_, err = unix.Read(int(fd), buffer)
		return !errors.Is(err, unix.EAGAIN)
	})
	if waitErr == nil {
		return err
	}
	// The poller replaces the error of an ended connection by its own. Another
	// read returns the device's error.
	if !errors.Is(waitErr, os.ErrDeadlineExceeded) && !errors.Is(waitErr, os.ErrClosed) {
		if _, err := unix.Read(d.fd, buffer); !errors.Is(err, unix.EAGAIN) {
			return err
		}
	}
	return waitErr
}

// write writes one reply to the kernel.
func (d *device) write(message []byte) error {
	for {
		_, err := unix.Write(d.fd, message)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// stop makes all current and future reads return errStopped.
func (d *device) stop() error { return d.file.SetReadDeadline(time.Unix(1, 0)) }
