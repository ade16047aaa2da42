//go:build linux

package fdsock

import (
	"errors"
	"fmt"
	"net"
)

// streamPacket is the largest packet of a Stream, in bytes.
const streamPacket = 16 << 10

// errFiles reports descriptors in the packets of a stream.
var errFiles = errors.New("unexpected descriptors")

// Stream is a connection of [Network] as a stream of bytes: the boundaries of packets
// have no meaning. A packet with descriptors is an error; they are closed. A protocol
// of packets may follow once both ends have read all bytes of the stream. Like any
// net.Conn it allows one reader and one writer at a time.
type Stream struct {
	*net.UnixConn
	packet []byte
	// rest are the bytes of the last packet that were not read yet.
	rest []byte
}

// NewStream returns a stream over a connection, which it owns.
func NewStream(conn *net.UnixConn) *Stream { return &Stream{UnixConn: conn} }

// Read implements net.Conn.
func (s *Stream) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(s.rest) == 0 {
		if s.packet == nil {
			s.packet = make([]byte, streamPacket)
		}
		n, fds, err := Receive(s.UnixConn, s.packet)
		if err != nil {
			return 0, err
		}
		if len(fds) > 0 {
			Close(fds)
			return 0, fmt.Errorf("%d descriptors: %w", len(fds), errFiles)
		}
		s.rest = s.packet[:n]
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Write implements net.Conn.
func (s *Stream) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		n, err := s.UnixConn.Write(b[written:min(len(b), written+streamPacket)])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// NetConn returns the connection of packets.
func (s *Stream) NetConn() net.Conn { return s.UnixConn }
