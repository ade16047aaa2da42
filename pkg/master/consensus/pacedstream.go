package consensus

import (
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// paceBytes is the transfer rate in bytes per second that a connection between
// members must reach. A request may take transportTimeout and the time that its
// bytes need at this rate.
const paceBytes = 256 << 10

// pacedStream gives each request a deadline that depends on its size. The
// library sets one of a fixed duration, within which a large request could not
// be sent over a slow link in any number of attempts.
type pacedStream struct{ raft.StreamLayer }

// Dial implements raft.StreamLayer.
func (s pacedStream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	conn, err := s.StreamLayer.Dial(address, timeout)
	if err != nil {
		return nil, err
	}
	return &pacedConn{Conn: conn}, nil
}

// pacedConn is a connection whose deadline moves with the bytes that are
// written. It is used by one goroutine at a time, as the library's transport
// does.
type pacedConn struct {
	net.Conn
	deadline time.Time
}

// SetDeadline implements net.Conn. It begins a request.
func (c *pacedConn) SetDeadline(t time.Time) error {
	c.deadline = t
	return c.Conn.SetDeadline(t)
}

// Write implements net.Conn.
func (c *pacedConn) Write(p []byte) (int, error) {
	if !c.deadline.IsZero() && len(p) > 0 {
		c.deadline = c.deadline.Add(time.Duration(len(p)) * time.Second / paceBytes)
		if err := c.Conn.SetDeadline(c.deadline); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}
