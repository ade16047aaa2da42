package client

import (
	"context"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// Limits of the small objects that are fetched ahead.
const (
	// maxSmall is the size of the largest object that is fetched ahead.
	maxSmall = wire.MaxBatchObject
	// smallBytes bounds the bytes of objects that were fetched ahead, or are being
	// fetched, and not read yet.
	smallBytes = 16 << 20
	// smallAge is how long an object is kept for its reader.
	smallAge = 30 * time.Second
	// smallTimeout bounds one request for objects.
	smallTimeout = 10 * time.Second
)

// small holds small objects that were fetched before they are read. Threads that
// read the files of a directory in its order cost one request for many files
// instead of one each, and do not wait for the store. It is safe for concurrent
// use.
//
// Objects are held by version, so that an entry never becomes wrong. Each is given
// to one read: another one is served by the page cache of the kernel, or requests
// the bytes again.
type small struct {
	client *Client
	// limit is smallBytes.
	limit int64

	mu   sync.Mutex
	dirs map[directory]*sequence
	// held are the objects that no read has taken. order holds them, and some that
	// were taken, the oldest first.
	held  map[Object]*ahead
	order []*ahead
	// bytes of the objects in held.
	bytes int64
	// wasted counts the objects that were dropped unread since one was read.
	wasted int
	// served counts the objects that were fetched ahead and read.
	served int64
}

// ahead is an object that was fetched, or is being fetched, before it is read.
type ahead struct {
	object Object
	// done is closed when the attempt to fetch it has ended; data is nil then if
	// it failed.
	done  chan struct{}
	data  []byte
	since time.Time
	// abandoned is set when the read that took the object has ended. Its bytes are
	// not kept.
	abandoned bool
}

type directory struct{ mount, path string }

func newSmall(c *Client) *small {
	return &small{client: c, limit: smallBytes, dirs: map[directory]*sequence{}, held: map[Object]*ahead{}}
}

// eligible reports whether a read of a whole object may be served ahead.
func eligible(o Object, offset int64, length int) bool {
	return offset == 0 && o.Size > 0 && o.Size <= maxSmall && int64(length) == o.Size
}

// take returns the bytes of an object that was fetched ahead. It blocks while the
// object is being fetched, at most for the given time. It records the read, so that
// what follows is fetched.
func (s *small) take(ctx context.Context, o Object, patience time.Duration) ([]byte, bool) {
	dir, name := path.Split(o.Key)
	s.mu.Lock()
	a := s.held[o]
	if a != nil {
		s.remove(a)
	}
	s.read(directory{o.Mount, path.Clean("/" + dir)[1:]}, name)
	s.mu.Unlock()
	if a == nil {
		return nil, false
	}
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case <-a.done:
	case <-ctx.Done():
	case <-wait.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.abandoned = true // If it is still being fetched, no read waits for it.
	data := a.data
	a.data = nil // The order may refer to it for long.
	if data != nil {
		s.wasted = 0
		s.served++
	}
	return data, data != nil
}

// remove drops an object from those that are held. The caller must hold s.mu.
func (s *small) remove(a *ahead) {
	delete(s.held, a.object)
	s.bytes -= a.object.Size
}

// reserve returns those of the objects that are to be fetched now: those that are
// not held, as far as the limit permits. The caller must hold s.mu, and fetch them.
func (s *small) reserve(objects []Object) []*ahead {
	now := s.client.config.Clock()
	s.dropOld(now)
	s.compact()
	var wanted []*ahead
	for _, o := range objects {
		if !eligible(o, 0, int(o.Size)) || s.held[o] != nil || s.bytes+o.Size > s.limit {
			continue
		}
		a := &ahead{object: o, done: make(chan struct{}), since: now}
		s.held[o] = a
		s.order = append(s.order, a)
		s.bytes += o.Size
		wanted = append(wanted, a)
	}
	return wanted
}

// dropOld drops objects that were not read in time. The caller must hold s.mu.
func (s *small) dropOld(now time.Time) {
	for len(s.order) > 0 {
		if a := s.order[0]; s.held[a.object] == a {
			if now.Sub(a.since) < smallAge {
				return
			}
			s.remove(a)
			s.wasted++
		}
		s.order = s.order[1:]
	}
}

// compact drops the objects that were taken from the order, once they are most of
// it: an object that is never read stays in front of them for smallAge. The caller
// must hold s.mu.
func (s *small) compact() {
	if len(s.order) <= 2*len(s.held)+window {
		return
	}
	s.order = slices.DeleteFunc(s.order, func(a *ahead) bool { return s.held[a.object] != a })
}

// fetch requests objects from their owners, and returns when all requests have
// ended.
func (s *small) fetch(objects []*ahead) {
	batches := map[*worker][]*ahead{}
	for _, a := range objects {
		candidates := s.client.Candidates(a.object, 0)
		if len(candidates) == 0 || !candidates[0].worker.batches() {
			s.deliver(a, nil)
			continue
		}
		w := candidates[0].worker
		batches[w] = append(batches[w], a)
	}
	var requests sync.WaitGroup
	for w, batch := range batches {
		for len(batch) > 0 {
			part := batch[:min(len(batch), wire.MaxBatch)]
			batch = batch[len(part):]
			requests.Go(func() { s.fetchBatch(w, part) })
		}
	}
	requests.Wait()
}

// fetchBatch requests objects from one worker. Those that it does not return are
// requested again when they are read.
func (s *small) fetchBatch(w *worker, objects []*ahead) {
	ctx, cancel := context.WithTimeout(s.client.ctx, smallTimeout)
	defer cancel()
	err := w.batch(ctx, objects, s.deliver)
	for _, a := range objects {
		s.deliver(a, nil)
	}
	if err != nil {
		s.client.config.Logger.Debug("cannot fetch small objects ahead", "worker", w.name, "error", err)
	}
}

// deliver ends the attempt to fetch an object, unless it has ended already; data is
// nil if it failed.
func (s *small) deliver(a *ahead, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-a.done:
		return
	default:
	}
	if !a.abandoned {
		a.data = data
	}
	close(a.done)
	if data == nil && s.held[a.object] == a {
		s.remove(a)
	}
}
