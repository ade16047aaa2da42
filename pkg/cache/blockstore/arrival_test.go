package blockstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

// slowly returns a hook whose first body ends with an error after n bytes, once stop
// is closed. Later fetches are recorded and succeed.
func slowly(o *origin, n int64, stop <-chan struct{}, later chan<- int64) func(context.Context, int64, int64) (io.ReadCloser, error) {
	first := true
	return func(_ context.Context, offset, _ int64) (io.ReadCloser, error) {
		if !first {
			later <- offset
			return nil, nil
		}
		first = false
		in, out := io.Pipe()
		go func() {
			_, _ = out.Write(o.data[offset : offset+n])
			<-stop
			_ = out.CloseWithError(errors.New("connection reset"))
		}()
		return in, nil
	}
}

// TestBytesAreReadBeforeTheirBlockIsComplete reads the first bytes of a block whose
// other bytes do not arrive. When the body ends, only those are fetched again.
func TestBytesAreReadBeforeTheirBlockIsComplete(t *testing.T) {
	s := open(t, testConfig(t, func(c *Config) { c.BlockSize, c.StallTimeout = 1<<20, time.Minute }))
	o := newOrigin(60, 3<<20+100)
	stop, later := make(chan struct{}), make(chan int64, 1)
	o.hook = slowly(o, 20<<10, stop, later)
	r, err := s.Read(t.Context(), Request{Key: o.key("a"), Length: int64(len(o.data)), Fetch: o.fetch})
	must(t, err)
	defer func() { must(t, r.Close()) }()
	got, err := r.next(t.Context())
	must(t, err)
	if len(got) < firstPart || len(got) > 20<<10 || !bytes.Equal(got, o.data[:len(got)]) {
		t.Fatalf("got %d bytes, want the first %d to %d", len(got), firstPart, 20<<10)
	}
	seen := append([]byte(nil), got...)
	close(stop)
	// The reader still uses its bytes, so that the buffer stays as it is.
	if again := <-later; again < int64(len(got)) || again > 20<<10 {
		t.Errorf("the rest was fetched from %d on, want what has not arrived", again)
	}
	if !bytes.Equal(got, seen) {
		t.Error("bytes in use have changed")
	}
	var rest bytes.Buffer
	_, err = r.Copy(t.Context(), &rest)
	must(t, err)
	if !bytes.Equal(rest.Bytes(), o.data[len(got):]) {
		t.Error("wrong bytes after the first body has ended")
	}
	settled(t, s)
	mustRead(t, s, o, "a", 0, int64(len(o.data)), nil)
	checkAccounts(t, s)
}

// TestAnIncompleteBlockHoldsNoMemory checks that the buffer of a block whose body has
// ended is given back when no reader uses it, and when the last one stops.
func TestAnIncompleteBlockHoldsNoMemory(t *testing.T) {
	for _, used := range []bool{false, true} {
		s := open(t, testConfig(t, func(c *Config) { c.BlockSize, c.StallTimeout = 1<<20, time.Minute }))
		o := newOrigin(61, 1<<20)
		stop, later := make(chan struct{}), make(chan int64, 1)
		slow := slowly(o, 20<<10, stop, later)
		o.hook = func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
			body, err := slow(ctx, offset, length)
			if body == nil && err == nil {
				err = errors.New("the store is away")
			}
			return body, err
		}
		r, err := s.Read(t.Context(), Request{Key: o.key("a"), Length: 1 << 20, Fetch: o.fetch})
		must(t, err)
		free := func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.memory.free == s.memory.size && s.memory.loadingAll == 0
		}
		if used {
			_, err := r.next(t.Context())
			must(t, err)
		}
		close(stop)
		<-later
		if used {
			if _, err := r.next(t.Context()); err == nil {
				t.Error("no error for bytes that never arrive")
			}
		}
		eventually(t, "the memory is free", free)
		must(t, r.Close())
		settled(t, s)
		checkAccounts(t, s)
	}
}
