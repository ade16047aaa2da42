package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// errDiskHangs means that a disk of a worker on this host did not respond in time.
var errDiskHangs = errors.New("the disk does not respond")

// onDisk is a LocalFile whose reads can be kept from waiting for its disk.
type onDisk interface {
	// ReadCached reads the bytes that are in memory, without waiting for the disk.
	ReadCached(p []byte, offset int64) (int, error)
	// Device returns the number of the disk.
	Device() uint64
}

// disks reads sealed files on this host. A read cannot be ended while its disk
// hangs, so that it is abandoned after a timeout, and until it ends no other read
// waits for that disk: the next rung has the bytes too. It is safe for concurrent
// use.
type disks struct {
	timeout time.Duration
	// buffers holds buffers for reads that may be abandoned.
	buffers sync.Pool

	mu sync.Mutex
	// abandoned counts the abandoned reads of each disk that have not ended.
	abandoned map[uint64]int
}

func newDisks(timeout time.Duration) *disks {
	return &disks{timeout: timeout, abandoned: map[uint64]int{}}
}

// read fills p from a file.
func (d *disks) read(ctx context.Context, file LocalFile, p []byte, offset int64) error {
	var device uint64
	if file, ok := file.(onDisk); ok {
		n, err := file.ReadCached(p, offset)
		if err == nil && n == len(p) {
			return nil
		}
		device = file.Device()
	}
	if d.hangs(device) && !mutantHungDisk {
		return errDiskHangs
	}
	buffer := d.buffer(len(p))
	done := make(chan error, 1)
	r := &diskRead{}
	go func() {
		n, err := file.ReadAt((*buffer)[:len(p)], offset)
		if n == len(p) {
			err = nil
		} else if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("%d of %d bytes: %w", n, len(p), io.ErrUnexpectedEOF)
		}
		if !r.end() {
			d.release(device)
			d.buffers.Put(buffer)
			return
		}
		done <- err
	}()
	timer := time.NewTimer(d.timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return d.finish(buffer, p, err)
	case <-timer.C:
	case <-ctx.Done():
	}
	d.abandon(device)
	if !r.end() {
		d.release(device)
		return d.finish(buffer, p, <-done)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errDiskHangs, context.Cause(ctx))
	}
	return fmt.Errorf("no bytes for %s: %w", d.timeout, errDiskHangs)
}

// finish copies the bytes of a read that has ended.
func (d *disks) finish(buffer *[]byte, p []byte, err error) error {
	if err == nil {
		copy(p, *buffer)
	}
	d.buffers.Put(buffer)
	return err
}

// buffer returns a buffer of at least n bytes.
func (d *disks) buffer(n int) *[]byte {
	if buffer, ok := d.buffers.Get().(*[]byte); ok && len(*buffer) >= n {
		return buffer
	}
	buffer := make([]byte, n)
	return &buffer
}

func (d *disks) hangs(device uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.abandoned[device] > 0
}

func (d *disks) abandon(device uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.abandoned[device]++
}

func (d *disks) release(device uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.abandoned[device]--; d.abandoned[device] <= 0 {
		delete(d.abandoned, device)
	}
}

// diskRead decides whether a read or its timeout was first.
type diskRead struct {
	mu    sync.Mutex
	ended bool
}

// end returns true to its first caller only.
func (r *diskRead) end() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !r.ended
	r.ended = true
	return first
}
