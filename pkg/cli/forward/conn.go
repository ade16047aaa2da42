package forward

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/streaming/pkg/httpstream"
)

// address is the address of a port of a pod.
type address struct {
	pod  string
	port int
}

// Network implements net.Addr.
func (address) Network() string { return "portforward" }

// String implements net.Addr.
func (a address) String() string { return net.JoinHostPort(a.pod, strconv.Itoa(a.port)) }

// conn is one forwarded connection. A pipe between caller and streams provides
// deadlines, which streams do not have.
type conn struct {
	net.Conn
	streams httpstream.Connection
	remote  address
	// failed is the error of the kubelet, once known.
	failed atomic.Pointer[error]
	once   sync.Once
}

// join returns a connection over a data stream and an error stream.
func join(streams httpstream.Connection, data, failures httpstream.Stream, remote address) *conn {
	near, far := net.Pipe()
	c := &conn{Conn: near, streams: streams, remote: remote}
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		text, err := io.ReadAll(io.LimitReader(failures, 4096))
		if len(text) > 0 || err != nil && !errors.Is(err, io.EOF) {
			c.fail(string(text), err)
			_ = far.Close()
		}
	}()
	go func() {
		_, _ = io.Copy(far, data)
		// The kubelet sends the error before it ends the data.
		select {
		case <-failed:
		case <-streams.CloseChan():
		}
		_ = far.Close()
	}()
	go func() {
		_, _ = io.Copy(data, far)
		_ = data.Close()
	}()
	return c
}

func (c *conn) fail(text string, err error) {
	if text != "" {
		// "error forwarding port 1 to pod p, uid : failed to …: dial tcp4 …": only the
		// last part is of use.
		if _, why, found := strings.Cut(text, "inside namespace"); found {
			if _, reason, found := strings.Cut(why, ": "); found {
				text = reason
			}
		}
		err = errors.New(strings.TrimSpace(text))
	}
	c.failed.Store(&err)
}

// Read implements net.Conn. It returns the kubelet's error if there is one.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.reason(err)
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.reason(err)
}

// reason replaces the error of the pipe by the kubelet's.
func (c *conn) reason(err error) error {
	if failed := c.failed.Load(); err != nil && failed != nil {
		return *failed
	}
	return err
}

// Close also closes the connection to the API server.
func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		err = c.Conn.Close()
		_ = c.streams.Close()
	})
	return err
}

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.remote }
