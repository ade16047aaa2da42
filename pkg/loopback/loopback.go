// Package loopback makes listeners that port-forwards reach: these come to a
// pod's loopback address, where a component that listens on the pod's own
// address does not hear them.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Listen listens on an address and, when that is one particular address of the
// machine, on the same port of the loopback address too. Who cannot have the
// second goes on with the first.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	first, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	bound, ok := first.Addr().(*net.TCPAddr)
	if !ok || bound.IP.IsUnspecified() || bound.IP.IsLoopback() {
		return first, nil
	}
	host := "127.0.0.1"
	if bound.IP.To4() == nil {
		host = "::1"
	}
	second, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(bound.Port)))
	if err != nil {
		return first, nil //nolint:nilerr // port-forwards are not worth the component
	}
	return merge(first, second), nil
}

// merged accepts from two listeners.
type merged struct {
	net.Listener
	second   net.Listener
	accepted chan accepted
	closed   chan struct{}
	once     sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

func merge(first, second net.Listener) *merged {
	m := &merged{Listener: first, second: second, accepted: make(chan accepted), closed: make(chan struct{})}
	go m.take(first, false)
	go m.take(second, true)
	return m
}

// take connections of one listener until it ends; the end of the one that may be
// missing is nobody's business.
func (m *merged) take(from net.Listener, dispensable bool) {
	for {
		conn, err := from.Accept()
		if err != nil && dispensable {
			return
		}
		select {
		case m.accepted <- accepted{conn, err}:
		case <-m.closed:
			if conn != nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil && errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// Accept implements net.Listener.
func (m *merged) Accept() (net.Conn, error) {
	select {
	case a := <-m.accepted:
		return a.conn, a.err
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (m *merged) Close() error {
	var err error
	m.once.Do(func() {
		close(m.closed)
		err = errors.Join(m.Listener.Close(), m.second.Close())
	})
	return err
}
