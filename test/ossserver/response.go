package ossserver

import (
	"context"
	"io"
	"net/http"
	"time"
)

// response writes the response to a request, counts it, and applies the fault to
// its body.
type response struct {
	http.ResponseWriter
	counts  *counts
	kind    Kind
	ctx     context.Context
	fault   Fault
	status  int
	written int64
	started bool
}

// WriteHeader records the status and sends the header.
func (a *response) WriteHeader(status int) {
	if a.fault.Lose {
		panic(http.ErrAbortHandler)
	}
	a.status = status
	a.started = true
	a.ResponseWriter.WriteHeader(status)
}

// Write sends a piece of the body, unless the fault cuts or stalls it.
func (a *response) Write(p []byte) (int, error) {
	if a.fault.Corrupt && a.written == 0 && len(p) > 0 {
		p = append([]byte{p[0] ^ 1}, p[1:]...)
	}
	allowed := len(p)
	if a.fault.Cut {
		allowed = int(min(int64(allowed), a.fault.CutAfter-a.written))
	}
	if a.fault.Stall {
		allowed = int(min(int64(allowed), a.fault.StallAfter-a.written))
	}
	n, err := a.write(p[:max(0, allowed)])
	if err != nil || n == len(p) {
		return n, err
	}
	if f, ok := a.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	if a.fault.Stall {
		<-a.ctx.Done()
	}
	panic(http.ErrAbortHandler)
}

// write sends at the rate of the fault.
func (a *response) write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		piece := p
		if rate := a.fault.BytesPerSecond; rate > 0 {
			piece = p[:min(int64(len(p)), max(1, rate/20))]
			select {
			case <-time.After(time.Duration(len(piece)) * time.Second / time.Duration(rate)):
			case <-a.ctx.Done():
				return total, a.ctx.Err()
			}
		}
		n, err := a.ResponseWriter.Write(piece)
		total += n
		a.written += int64(n)
		a.counts.sent(a.kind, int64(n))
		if err != nil {
			return total, err
		}
		if a.fault.BytesPerSecond > 0 {
			if f, ok := a.ResponseWriter.(http.Flusher); ok {
				f.Flush()
			}
		}
		p = p[n:]
	}
	return total, nil
}

// countedReader counts the bytes that a client sends.
type countedReader struct {
	from   io.Reader
	counts *counts
	kind   Kind
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.counts.received(c.kind, int64(n))
	return n, err
}
