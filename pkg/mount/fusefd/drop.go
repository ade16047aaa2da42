//go:build linux

package fusefd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
)

// A server can have the holder drop the pages of an inode beside its notifications,
// and wait for it while it serves a request. This needs a way of its own: a
// notification may wait in the kernel for the lock of a directory, which the process
// that reads the directory holds until the server has replied.
//
// Invariant: to drop the pages of a directory waits for no request of the directory.
// The kernel takes the lock of each page, which it holds while it copies a page in
// memory, and no other. A process can delay that copy by memory that it maps from
// elsewhere, so that each drop has a goroutine, and the caller a deadline.

// maxDrops bounds the drops of a mount that the kernel has not completed.
const maxDrops = 64

// errDrops is returned when too many drops are in progress.
var errDrops = errors.New("too many pages are being dropped")

// notifyInvalInode is the code of the notification that drops the attributes and the
// pages of an inode, from include/uapi/linux/fuse.h.
const notifyInvalInode = 2

// drop drops the pages of an inode in the background, and sends the result. The
// goroutine may outlive the session, because the kernel may block it.
func (s *Session) drop(m message, from *net.UnixConn) {
	respond := func(err error) {
		response := message{Kind: kindDropped, Request: m.Request}
		if err != nil {
			response.Reason = err.Error()
		}
		// The server may have detached meanwhile.
		_ = send(from, response)
	}
	select {
	case s.dropping <- struct{}{}:
	default:
		respond(errDrops)
		return
	}
	go func() {
		defer func() { <-s.dropping }()
		respond(s.writeNotification(invalInode(m.Node)))
	}()
}

// invalInode returns the notification that drops the pages of an inode.
func invalInode(node uint64) []byte {
	const size = outHeaderSize + 24
	b := binary.NativeEndian.AppendUint32(make([]byte, 0, size), size)
	b = binary.NativeEndian.AppendUint32(b, notifyInvalInode)
	b = binary.NativeEndian.AppendUint64(b, 0)
	b = binary.NativeEndian.AppendUint64(b, node)
	return b[:size] // All pages: the offset and the length are 0.
}

// drops are the drops of an Attachment that wait for their result. It is safe for
// concurrent use.
type drops struct {
	mu sync.Mutex
	// offered reports that the holder drops pages.
	offered bool
	last    uint64
	waiting map[uint64]chan error
}

func newDrops(features []string) *drops {
	d := &drops{waiting: map[uint64]chan error{}}
	d.offer(features)
	return d
}

func (d *drops) offer(features []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offered = slices.Contains(features, featureDrops)
}

// begin returns a new request and the channel of its result.
func (d *drops) begin() (uint64, chan error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	result := make(chan error, 1)
	d.waiting[d.last] = result
	return d.last, result
}

// end ends a request whose result is not awaited any more.
func (d *drops) end(request uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, request)
}

// deliver passes a result on, if it is awaited.
func (d *drops) deliver(m message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	result, ok := d.waiting[m.Request]
	if !ok {
		return
	}
	delete(d.waiting, m.Request)
	if m.Reason != "" {
		result <- errors.New(m.Reason)
		return
	}
	result <- nil
}

// lost ends all requests, whose results will not come.
func (d *drops) lost() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offered = false
	for request, result := range d.waiting {
		delete(d.waiting, request)
		result <- net.ErrClosed
	}
}

// DropsPages reports whether the holder is connected and can drop pages.
func (l *Attachment) DropsPages() bool {
	l.drops.mu.Lock()
	defer l.drops.mu.Unlock()
	return l.drops.offered
}

// DropPages has the holder drop the kernel's pages of a directory, which are the names
// that the kernel keeps, and its attributes. It returns when the kernel has done so, or
// has no such directory. Unlike Notify it may be called while serving a request, which
// needs a deadline. After an error the pages may have been dropped, or may be later.
func (l *Attachment) DropPages(ctx context.Context, node uint64) error {
	if !l.DropsPages() {
		return errors.New("drop pages: the holder of the mount is not connected, or cannot do so")
	}
	request, result := l.drops.begin()
	defer l.drops.end(request)
	l.mu.Lock()
	conn, lost := l.conn, l.lost
	l.mu.Unlock()
	if err := send(conn, message{Kind: kindDrop, Request: request, Node: node}); err != nil {
		return err
	}
	select {
	case err := <-result:
		if err != nil {
			return fmt.Errorf("drop pages: %w", err)
		}
		return nil
	case <-lost:
		return fmt.Errorf("drop pages: %w", net.ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("drop pages: %w", context.Cause(ctx))
	}
}
