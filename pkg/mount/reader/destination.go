package reader

import (
	"context"
	"errors"

	"github.com/jindo-io/jindo/pkg/cache/client"
)

// errNoMemory ends a read-ahead request for which there is no memory when its
// first byte arrives.
var errNoMemory = errors.New("no memory for read-ahead")

// destination is the part of a range that is still missing. Its memory is requested
// when the first byte of the range arrives. It is used by one goroutine.
type destination struct {
	missing int
	memory  func(context.Context) ([]byte, error)
	// p is the memory of the missing part, nil until the first byte has arrived.
	p []byte
	// failed is the error of memory.
	failed error
}

var _ client.Destination = (*destination)(nil)

// Len returns the number of missing bytes.
func (d *destination) Len() int { return d.missing }

// Memory returns the memory of the missing bytes.
func (d *destination) Memory(ctx context.Context) ([]byte, error) {
	if d.p == nil && d.failed == nil {
		if d.p, d.failed = d.memory(ctx); d.failed == nil {
			d.p = d.p[:d.missing]
		}
	}
	return d.p, d.failed
}

// advance records that the first n missing bytes are in place.
func (d *destination) advance(n int) {
	d.missing -= n
	if d.p != nil {
		d.p = d.p[n:]
	}
}

// first returns a destination for the first n missing bytes, in the memory of d.
// The caller must record with advance how many of them are in place.
func (d *destination) first(n int) destination { return destination{missing: n, memory: d.Memory} }
