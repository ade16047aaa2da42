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

// Attachment is this process's use of a mount, from Attach until Close or the
// end of the process. Its methods are safe for concurrent use.
type Attachment struct {
	// Device is the FUSE descriptor, non-blocking, owned by the Attachment.
	Device *os.File
	// Slots are shared with the holder and with successors.
	Slots *Slots
	// Mountpoint and Generation are those that the holder sent.
	Mountpoint string
	Generation uint64

	done chan struct{}
	// notified receives nil when the kernel has accepted what Notify sent, and an error
	// when the holder has refused it.
	notified chan error
	notifyMu sync.Mutex
	// registrar registers backings.
	registrar *registrar
	// drops are the inodes whose pages are being dropped.
	drops *drops
	once  sync.Once
	err   error

	// mu guards the fields below, which change with a connection to the holder.
	mu      sync.Mutex
	conn    *net.UnixConn
	lost    chan struct{} // closed with conn
	resumed chan struct{} // closed when conn is replaced
	closed  bool
	closing chan struct{} // closed when closed becomes true
	serving bool
}

// Attach connects to the holder's socket, waits until no other server is
// attached, and attaches to the mount. It returns an error when the holder is
// unreachable or refuses, or when the context ends; the caller may retry.
func Attach(ctx context.Context, socketPath string) (*Attachment, error) {
	attachment, err := attachTo(ctx, socketPath)
	if err != nil {
		return nil, err
	}
	go attachment.sendEnding()
	go attachment.watch(attachment.conn, attachment.lost)
	return attachment, nil
}

// AttachLasting is like Attach, for a holder that may be replaced: when the
// connection is lost, the Attachment reconnects to the same socket until a
// holder accepts it again, or refuses it, which closes Done.
func AttachLasting(ctx context.Context, socketPath string) (*Attachment, error) {
	attachment, err := attachTo(ctx, socketPath)
	if err != nil {
		return nil, err
	}
	go attachment.sendEnding()
	go attachment.followHolders(socketPath)
	return attachment, nil
}

func attachTo(ctx context.Context, socketPath string) (*Attachment, error) {
	conn, err := dial(ctx, socketPath)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	attachment, err := attach(conn)
	if !stop() && err == nil {
		_ = attachment.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("attach to the mount at %s: %w", socketPath, err)
	}
	return attachment, nil
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
			return nil, fmt.Errorf("refused by the holder: %s", m.Reason)
		}
		return nil, fmt.Errorf("unexpected response %q with %d descriptors from the holder", m.Kind, len(fds))
	}
	fdsock.Close(fds[2:])
	slots, err := MapSlots(os.NewFile(uintptr(fds[1]), "slots"))
	if err != nil {
		_ = unix.Close(fds[0])
		return nil, err
	}
	registrar := newRegistrar(slots.Backings())
	registrar.offer(m.Features)
	return &Attachment{
		registrar: registrar, drops: newDrops(m.Features), closing: make(chan struct{}),
		Device: os.NewFile(uintptr(fds[0]), devicePath), Slots: slots,
		Mountpoint: m.Mountpoint, Generation: m.Generation,
		conn: conn, lost: make(chan struct{}), resumed: make(chan struct{}), done: make(chan struct{}), notified: make(chan error, 1),
	}, nil
}

// watch closes done when the connection to the holder ends.
func (l *Attachment) watch(conn *net.UnixConn, lost chan struct{}) {
	l.follow(conn, lost)
	close(l.done)
}

// follow receives the holder's messages until the connection ends.
func (l *Attachment) follow(conn *net.UnixConn, lost chan struct{}) {
	defer l.registrar.lost()
	defer l.drops.lost()
	defer close(lost)
	for {
		m, fds, err := receive(conn)
		fdsock.Close(fds)
		if err != nil {
			return
		}
		switch m.Kind {
		case kindNotified:
			var refused error
			if m.Reason != "" {
				refused = fmt.Errorf("notify the kernel: refused by the holder: %s", m.Reason)
			}
			select {
			case l.notified <- refused:
			default:
			}
		case kindDropped:
			l.drops.deliver(m)
		case kindRegistered:
			l.Unregister(l.registrar.deliver(m)...)
		}
	}
}

// Serving reports to the holder that this process serves the kernel.
func (l *Attachment) Serving() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = true
	return send(l.conn, message{Kind: kindServing})
}

// MaxNotify is the largest total size, in bytes, of the notifications in one
// call of Notify.
const MaxNotify = 32 << 10

// Notify has the holder write notifications to the device, and returns when the
// kernel has accepted them. The kernel may block on requests that this server
// must serve first, so Notify must not be called while serving a request. After an
// error the caller may send them again.
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
	case err := <-l.notified:
		return err
	case <-lost:
		return fmt.Errorf("notify the kernel: %w", net.ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("notify the kernel: %w", context.Cause(ctx))
	}
}

// Done returns a channel that is closed when the connection to the holder has
// ended or, for AttachLasting, when a holder has refused the Attachment or it
// was closed. The descriptor stays usable as long as the mount exists.
func (l *Attachment) Done() <-chan struct{} { return l.done }

// Held reports whether a holder is connected.
func (l *Attachment) Held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.lost:
		return false
	default:
		return true
	}
}

// AwaitHolder blocks until a holder is connected, which has the descriptors of the
// mount too, so that the mount outlives this process. It returns an error if the
// context ends first, or if there will be no holder because Done is closed.
func (l *Attachment) AwaitHolder(ctx context.Context) error {
	for {
		l.mu.Lock()
		resumed := l.resumed
		l.mu.Unlock()
		if l.Held() {
			return nil
		}
		select {
		case <-resumed:
		case <-l.done:
			return fmt.Errorf("wait for a holder of the mount: %w", net.ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("wait for a holder of the mount: %w", context.Cause(ctx))
		}
	}
}

// Close detaches from the mount. No request may be in progress in this process:
// the next server takes over all live slots.
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
