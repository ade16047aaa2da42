//go:build linux

package fusefs

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errDisconnected means that the kernel has ended the connection, because the
// mount was unmounted or aborted.
var errDisconnected = errors.New("the mount does not exist any more")

// errStopped means that a loop ended because the server is stopping.
var errStopped = errors.New("the server is stopping")

// maxBacklog is the number of requests in a row for which a loop did not have to
// wait, after which it lets another one read at the same time.
const maxBacklog = 4

// device is the FUSE descriptor. The file must stay open while the device is in
// use. Its methods are safe for concurrent use, except close.
type device struct {
	file *os.File
	fd   int
	// wake is an eventfd that becomes readable when the device is stopped, which ends
	// the wait for a request.
	wake    int
	stopped atomic.Bool

	// written counts the replies. It is incremented before a reply is written and
	// loaded after a request was read, so that what was done for a reply happens
	// before what is done for the requests that follow from it. The kernel orders them
	// in time, which the memory model does not know.
	written atomic.Uint64

	turn turn
	// backlog is the number of the last requests that had arrived before they were
	// waited for. The loop that has the turn uses it.
	backlog int
}

func newDevice(file *os.File) (*device, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("set up the FUSE descriptor: %w", err)
	}
	d := &device{file: file}
	if err := raw.Control(func(fd uintptr) { d.fd = int(fd) }); err != nil {
		return nil, fmt.Errorf("set up the FUSE descriptor: %w", err)
	}
	if err := unix.SetNonblock(d.fd, true); err != nil {
		return nil, fmt.Errorf("set up the FUSE descriptor: %w", err)
	}
	if d.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("set up the FUSE descriptor: create an eventfd: %w", err)
	}
	return d, nil
}

// read reads one request from the kernel into buffer, and blocks until it is the
// loop's turn and there is one. The loop has the turn afterwards, unless there is an
// error or many requests wait.
func (d *device) read(buffer []byte, k *ticket) error {
	d.turn.take(k)
	err := d.next(buffer)
	if err != nil || d.backlog >= maxBacklog {
		d.turn.pass(k)
	}
	return err
}

// next blocks until there is a request, and reads it. The loop must have the turn.
func (d *device) next(buffer []byte) error {
	for d.backlog++; ; {
		if d.stopped.Load() {
			return errStopped
		}
		var err error
		switch errno := d.try(buffer); errno {
		case 0:
			return nil
		case unix.EAGAIN:
			d.backlog = 0
			err = d.wait()
		case unix.ENOENT, unix.EINTR:
			// The kernel withdrew the request before it was read.
		case unix.ENODEV, unix.ECONNABORTED:
			return errDisconnected
		default:
			err = errno
		}
		if err != nil {
			return fmt.Errorf("read a request from the kernel: %w", err)
		}
	}
}

// try reads a request if there is one, and returns EAGAIN otherwise. It never
// blocks, so that the scheduler needs no notice of it.
func (d *device) try(buffer []byte) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(d.fd), uintptr(unsafe.Pointer(unsafe.SliceData(buffer))), uintptr(len(buffer)))
	_ = d.written.Load()
	return errno
}

// wait blocks until a request can be read, the connection has ended or the device
// was stopped. One thread waits, which costs less for each request than the runtime's
// poller, because a goroutine that it wakes must be scheduled first.
func (d *device) wait() error {
	fds := [2]unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}, {Fd: int32(d.wake), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds[:], -1); err != nil && err != unix.EINTR {
		return err
	}
	return nil
}

// write writes one reply, in one or two parts, to the kernel. It never blocks.
func (d *device) write(parts ...[]byte) error {
	var vector [2]unix.Iovec
	for i, part := range parts {
		vector[i].Base = unsafe.SliceData(part)
		vector[i].SetLen(len(part))
	}
	d.written.Add(1)
	for {
		_, _, errno := syscall.Syscall(unix.SYS_WRITEV, uintptr(d.fd), uintptr(unsafe.Pointer(&vector[0])), uintptr(len(parts)))
		runtime.KeepAlive(parts)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// stop makes all current and future reads return errStopped.
func (d *device) stop() error {
	d.stopped.Store(true)
	if _, err := unix.Write(d.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		return fmt.Errorf("wake the loop that waits for requests: %w", err)
	}
	return nil
}

// close frees the eventfd. No loop may use the device any more.
func (d *device) close() { _ = unix.Close(d.wake) }
