package blockstore

import "time"

const (
	// smallShare is the share of a tier for versions that were not read again
	// yet. mainShare is filled first while there is room.
	smallShare = 0.1
	mainShare  = 0.8
	// turnover is the number of evictions of which one is from the main queue
	// although the small queue is above its share, so that versions that are
	// not read any more leave the main queue.
	turnover = 4
	// correlated is the time within which reads count as one.
	correlated = time.Minute
	maxFreq    = 3
	// minGhosts is the least number of hashes kept of versions that were
	// evicted from the small queue.
	minGhosts = 1024
)

// eviction is S3-FIFO over the versions of one tier. Bytes decide when to
// evict; whole versions are evicted. Store.mu guards it.
type eviction struct {
	small, main queue
	// doomed versions are evicted first, oldest first: replaced versions and
	// copies held for another worker.
	doomed queue
	ghosts map[hash]struct{}
	// order is a ring buffer of the ghosts.
	order []hash
	next  int
	// evictions counts evictions, for turnover.
	evictions int
}

func newEviction() *eviction { return &eviction{ghosts: map[hash]struct{}{}} }

// admit inserts a new version into the queue it starts in.
func (e *eviction) admit(v *version, capacity int64) {
	switch _, known := e.ghosts[v.hash]; {
	case v.temporary:
		e.doomed.push(v)
	case float64(e.main.bytes) < mainShare*float64(capacity),
		// It was evicted recently. It may belong to a loop that does not fit, in
		// which case versions that are hit in every round stay.
		known && e.main.tail.freq == 0:
		e.main.push(v)
	default:
		e.small.push(v)
	}
}

// restore inserts a version that was kept over a restart. It is not new, and
// the number of its reads is unknown.
func (e *eviction) restore(v *version) { e.main.push(v) }

// doom lets a version be evicted first.
func (e *eviction) doom(v *version) {
	if v.queue != nil && v.queue != &e.doomed {
		v.queue.remove(v)
		e.doomed.push(v)
	}
}

// undoom returns a doomed version to the small queue.
func (e *eviction) undoom(v *version) {
	if v.queue == &e.doomed {
		e.doomed.remove(v)
		e.small.push(v)
	}
}

// touch counts a read.
func (v *version) touch(now time.Time) {
	if now.Sub(v.touched) < correlated {
		return
	}
	if !v.touched.IsZero() && v.freq < maxFreq {
		v.freq++
	}
	v.touched = now
}

// victim removes the next version to evict from its queue, and returns nil if
// all are in use. capacity is the tier's quota.
func (e *eviction) victim(capacity int64) *version {
	if v := e.idlest(&e.doomed); v != nil {
		return v
	}
	small := int64(float64(capacity) * smallShare)
	e.evictions++
	if e.evictions%turnover == 0 && e.main.tail != nil {
		if v := e.fromMain(); v != nil {
			return v
		}
	}
	// Each step evicts, moves to the main queue, decrements a count, or skips
	// a version in use; the bound ends the loop when all are in use.
	for steps := (e.small.count + e.main.count) * (maxFreq + 2); steps > 0; steps-- {
		switch {
		case e.small.tail != nil && (e.small.bytes > small || e.main.tail == nil):
			if v := e.fromSmall(); v != nil {
				return v
			}
		case e.main.tail != nil:
			if v := e.fromMain(); v != nil {
				return v
			}
		default:
			return nil
		}
	}
	// The small queue is in use or tiny: evict any idle version.
	if v := e.idlest(&e.main); v != nil {
		return v
	}
	return e.idlest(&e.small)
}

func (e *eviction) idlest(q *queue) *version {
	for v := q.tail; v != nil; v = v.prev {
		if v.idle() {
			q.remove(v)
			return v
		}
	}
	return nil
}

func (e *eviction) fromSmall() *version {
	v := e.small.tail
	e.small.remove(v)
	switch {
	case v.freq > 0:
		v.freq = 0
		e.main.push(v)
	case !v.idle():
		e.small.push(v)
	default:
		e.remember(v.hash)
		return v
	}
	return nil
}

func (e *eviction) fromMain() *version {
	v := e.main.tail
	e.main.remove(v)
	switch {
	case v.freq > 0:
		v.freq--
		e.main.push(v)
	case !v.idle():
		e.main.push(v)
	default:
		return v
	}
	return nil
}

// remember adds a ghost, and drops the oldest if there are more ghosts than
// versions in the main queue.
func (e *eviction) remember(h hash) {
	if _, ok := e.ghosts[h]; ok {
		return
	}
	e.ghosts[h] = struct{}{}
	if limit := max(minGhosts, e.main.count); len(e.order) < limit {
		e.order = append(e.order, h)
		return
	}
	e.next %= len(e.order)
	delete(e.ghosts, e.order[e.next])
	e.order[e.next] = h
	e.next++
}
