//go:build linux

package fusefd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// Attachment is a mount lent to this process. It ends with Close, or with the
// process.
type Attachment struct {
	// Device is the fuse descriptor, non-blocking. Lease owns it.
	Device *os.File
	// Slots are shared with the holder and with successors.
	Slots *Slots
	// Mountpoint and Generation as the holder says.
	Mountpoint string
	Generation uint64

	done chan struct{}
	// notified gets a token when the kernel has what Notify sent.
	notified chan struct{}
	notifyMu sync.Mutex
	once     sync.Once
	err      error

	// mu guards what a new connection to the holder changes.
	mu      sync.Mutex
	conn    *net.UnixConn
	lost    chan struct{} // closed when conn is
	closed  bool
	closing chan struct{} // closed when closed becomes true
	serving bool
}

// Attach waits for its turn at the holder's socket and takes the mount. It
// fails when the holder is not there, refuses, or the context ends; trying
// again is the caller's part.
func Attach(ctx context.Context, socketPath string) (*Attachment, error) {
	lease, err := attachTo(ctx, socketPath)
	if err != nil {
		return nil, err
	}
	go lease.watch(lease.conn, lease.lost)
	return lease, nil
}

// AttachLasting is Acquire for a holder that may come back: when it goes away,
// the lease asks at the same socket until a holder there takes it up again, or
// has none of it, which ends Gone.
func AttachLasting(ctx context.Context, socketPath string) (*Attachment, error) {
	lease, err := attachTo(ctx, socketPath)
	if err != nil {
		return nil, err
	}
	go lease.followHolders(socketPath)
	return lease, nil
}

func attachTo(ctx context.Context, socketPath string) (*Attachment, error) {
	conn, err := dial(ctx, socketPath)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	lease, err := attach(conn)
	if !stop() && err == nil {
		_ = lease.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("taking the mount from %s: %w", socketPath, err)
	}
	return lease, nil
}

func attach(conn *net.UnixConn) (*Attachment, error) {
	if err := send(conn, message{Kind: kindAcquire}); err != nil {
		return nil, err
	}
	m, fds, err := receive(conn)
	if err != nil {
		return nil, err
	}
	if m.Kind != kindLease || len(fds) < 2 {
		fdsock.Close(fds)
		if m.Kind == kindRefused {
			return nil, fmt.Errorf("the holder refuses: %s", m.Reason)
		}
		return nil, fmt.Errorf("the holder answered %q with %d descriptors", m.Kind, len(fds))
	}
	fdsock.Close(fds[2:])
	slots, err := MapSlots(os.NewFile(uintptr(fds[1]), "slots"))
	if err != nil {
		_ = unix.Close(fds[0])
		return nil, err
	}
	return &Attachment{
		closing: make(chan struct{}),
		Device:  os.NewFile(uintptr(fds[0]), devicePath), Slots: slots,
		Mountpoint: m.Mountpoint, Generation: m.Generation,
		conn: conn, lost: make(chan struct{}), done: make(chan struct{}), notified: make(chan struct{}, 1),
	}, nil
}

// watch notices the end of the holder.
func (l *Attachment) watch(conn *net.UnixConn, lost chan struct{}) {
	l.follow(conn, lost)
	close(l.done)
}

// follow reads what the holder says until it is gone.
func (l *Attachment) follow(conn *net.UnixConn, lost chan struct{}) {
	defer close(lost)
	for {
		m, fds, err := receive(conn)
		fdsock.Close(fds)
		if err != nil {
			return
		}
		if m.Kind == kindNotified {
			select {
			case l.notified <- struct{}{}:
			default:
			}
		}
	}
}

// Serving tells the holder that the kernel is being answered.
func (l *Attachment) Serving() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = true
	return send(l.conn, message{Kind: kindServing})
}

// MaxNotify bounds the bytes that Notify takes at once.
const MaxNotify = 32 << 10

// Notify has notifications written to the device by the holder, and returns
// when the kernel has taken them, which may wait for requests that this server
// has to answer: never call it from one.
func (l *Attachment) Notify(ctx context.Context, notifications [][]byte) error {
	l.notifyMu.Lock()
	defer l.notifyMu.Unlock()
	l.mu.Lock()
	conn, lost := l.conn, l.lost
	l.mu.Unlock()
	if err := send(conn, message{Kind: kindNotify, Notifications: notifications}); err != nil {
		return err
	}
	select {
	case <-l.notified:
		return nil
	case <-lost:
		return fmt.Errorf("notifying the kernel: %w", net.ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("notifying the kernel: %w", context.Cause(ctx))
	}
}

// Done is closed when the holder is gone or has given up the mount; of a lasting
// lease, when a holder has refused it or the lease is closed. The
// descriptor stays usable as long as the mount does.
func (l *Attachment) Done() <-chan struct{} { return l.done }

// Close gives the mount back. No request may be worked on any more: the next
// server takes over whatever the slots hold.
func (l *Attachment) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closed = true
		close(l.closing)
		l.err = l.Device.Close()
		if err := l.Slots.Close(); l.err == nil {
			l.err = err
		}
		if err := l.conn.Close(); l.err == nil && !errors.Is(err, net.ErrClosed) {
			l.err = err
		}
	})
	return l.err
}
