package client

import (
	"context"
	"io"
)

// Destination is the memory for a range of bytes. A request waits for its first
// byte without memory, so that any number of requests to a store that hangs need
// none.
type Destination interface {
	// Len returns the number of bytes of the range.
	Len() int
	// Memory returns Len bytes. It is called when the first byte has arrived, and
	// may block until the context ends. Its error ends the attempt.
	Memory(ctx context.Context) ([]byte, error)
}

// Bytes is a Destination whose memory exists.
type Bytes []byte

// Len returns the number of bytes.
func (b Bytes) Len() int { return len(b) }

// Memory returns the bytes.
func (b Bytes) Memory(context.Context) ([]byte, error) { return b, nil }

// memory is a destination whose memory is requested once, for sections of it.
type memory struct {
	Destination
	p []byte
}

// Memory returns the bytes of the whole destination.
func (m *memory) Memory(ctx context.Context) ([]byte, error) {
	if m.p == nil {
		p, err := m.Destination.Memory(ctx)
		if err != nil {
			return nil, err
		}
		m.p = p
	}
	return m.p, nil
}

// section is a part of a destination.
type section struct {
	of           *memory
	from, length int
}

// Len returns the number of bytes of the section.
func (s *section) Len() int { return s.length }

// Memory returns the bytes of the section.
func (s *section) Memory(ctx context.Context) ([]byte, error) {
	p, err := s.of.Memory(ctx)
	if err != nil {
		return nil, err
	}
	return p[s.from : s.from+s.length], nil
}

// Receive reads a body into a destination. It calls progress after every n bytes,
// and returns the number of bytes, and an error unless that is to.Len(): the one of
// the body, io.EOF if it is too short, or the one of the destination.
func Receive(ctx context.Context, body io.Reader, to Destination, progress func(n int)) (n int, err error) {
	var first [1]byte
	if _, err := io.ReadFull(body, first[:]); err != nil {
		return 0, err
	}
	p, err := to.Memory(ctx)
	if err != nil {
		return 0, err
	}
	for m := copy(p, first[:]); ; {
		if m > 0 {
			n += m
			progress(m)
		}
		if n == len(p) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		m, err = body.Read(p[n:])
	}
}
