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

// address of a port in a pod.
type address struct {
	pod  string
	port int
}

// Network implements net.Addr.
func (address) Network() string { return "portforward" }

// String implements net.Addr.
func (a address) String() string { return net.JoinHostPort(a.pod, strconv.Itoa(a.port)) }

// conn is one forwarded connection. The pipe in between gives it deadlines,
// which streams have not.
type conn struct {
	net.Conn
	streams httpstream.Connection
	remote  address
	// failed is what the kubelet said.
	failed atomic.Pointer[error]
	once   sync.Once
}

// join a data stream and an error stream to a connection.
func join(streams httpstream.Connection, data, failures httpstream.Stream, remote address) *conn {
	near, far := net.Pipe()
	c := &conn{Conn: near, streams: streams, remote: remote}
	told := make(chan struct{})
	go func() {
		defer close(told)
		text, err := io.ReadAll(io.LimitReader(failures, 4096))
		if len(text) > 0 || err != nil && !errors.Is(err, io.EOF) {
			c.fail(string(text), err)
			_ = far.Close()
		}
	}()
	go func() {
		_, _ = io.Copy(far, data)
		// The kubelet says why before it ends the data.
		select {
		case <-told:
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
		// "error forwarding port 1 to pod p, uid : failed to …: dial tcp4 …": the last
		// part is what a person needs.
		if _, why, found := strings.Cut(text, "inside namespace"); found {
			if _, reason, found := strings.Cut(why, ": "); found {
				text = reason
			}
		}
		err = errors.New(strings.TrimSpace(text))
	}
	c.failed.Store(&err)
}

// Read implements net.Conn. Where the kubelet said why there is nothing more to
// read, that is the error.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.reason(err)
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.reason(err)
}

func (c *conn) reason(err error) error {
	if failed := c.failed.Load(); err != nil && failed != nil {
		return *failed
	}
	return err
}

// Close ends the connection to the API server as well.
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
