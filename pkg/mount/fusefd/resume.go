//go:build linux

package fusefd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

const (
	// resumeInterval is the time between two attempts to reconnect, and
	// resumeTimeout the deadline of one.
	resumeInterval = 200 * time.Millisecond
	resumeTimeout  = 10 * time.Second
)

// errRefused is returned when a holder has another mount, or another server.
var errRefused = errors.New("refused by the holder")

// followHolders follows one holder after another until the attachment is closed
// or refused.
func (l *Attachment) followHolders(socketPath string) {
	defer close(l.done)
	for {
		l.mu.Lock()
		conn, lost := l.conn, l.lost
		l.mu.Unlock()
		l.follow(conn, lost)
		_ = conn.Close()
		if !l.reconnect(socketPath) {
			return
		}
	}
}

// reconnect retries until a holder has accepted the attachment, and reports
// whether one has. It returns false once the attachment is closed or refused.
func (l *Attachment) reconnect(socketPath string) bool {
	for {
		err := l.resume(socketPath)
		if err == nil {
			return true
		}
		if errors.Is(err, errRefused) || errors.Is(err, os.ErrClosed) {
			return false
		}
		select {
		case <-time.After(resumeInterval):
		case <-l.closing:
			return false
		}
	}
}

// resume makes one attempt. It sends the device and the slots, which the holder
// may have lost.
func (l *Attachment) resume(socketPath string) error {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return os.ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.Background(), resumeTimeout)
	defer cancel()
	conn, err := dial(ctx, socketPath)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = l.resumeOver(conn)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
	}
	return err
}

func (l *Attachment) resumeOver(conn *net.UnixConn) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return os.ErrClosed
	}
	session := l.Slots.Session()
	hello := message{
		Kind: kindResume, Generation: l.Generation, Mountpoint: l.Mountpoint, Session: session[:], Serving: l.serving,
	}
	err := send(conn, hello, l.Device, l.Slots.file)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	m, fds, err := receive(conn)
	fdsock.Close(fds)
	switch {
	case err != nil:
		return err
	case m.Kind == kindRefused:
		return fmt.Errorf("%w: %s", errRefused, m.Reason)
	case m.Kind != kindLease || m.Generation != l.Generation:
		return fmt.Errorf("%w: unexpected response %q for generation %d", errRefused, m.Kind, m.Generation)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	// Serving may have been called since hello was built.
	if l.serving && !hello.Serving {
		if err := send(conn, message{Kind: kindServing}); err != nil {
			return err
		}
	}
	l.conn, l.lost = conn, make(chan struct{})
	close(l.resumed)
	l.resumed = make(chan struct{})
	l.registrar.offer(m.Features)
	l.drops.offer(m.Features)
	l.registrar.settle(l.Slots.Backings())
	return nil
}
