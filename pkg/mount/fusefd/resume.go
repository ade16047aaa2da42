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
	// resumeInterval is the wait between two attempts to find a holder again, and
	// resumeTime bounds one.
	resumeInterval = 200 * time.Millisecond
	resumeTimeout  = 10 * time.Second
)

// errRefused says that a holder has another mount, or lent it to another.
var errRefused = errors.New("the holder refuses")

// followHolders follows one holder after another until the lease is closed or refused.
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

// reconnect tries until a holder has taken the lease up; false when there is
// nothing to be taken up any more.
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

// resume asks once. The device and the slots go along: the holder may have lost
// them.
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
		return fmt.Errorf("%w: it answered %q of lease %d", errRefused, m.Kind, m.Generation)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	// It may have begun to serve in between.
	if l.serving && !hello.Serving {
		if err := send(conn, message{Kind: kindServing}); err != nil {
			return err
		}
	}
	l.conn, l.lost = conn, make(chan struct{})
	return nil
}
