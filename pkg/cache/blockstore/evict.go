package blockstore

import "time"

const (
	// smallShare of a tier is for versions that were not read again yet, and
	// mainShare is filled first while there is room.
	smallShare = 0.1
	mainShare  = 0.8
	// turnover: one eviction in so many is from the main queue though the
	// small one is over its share, so that what was left there by yesterday's
	// job makes room.
	turnover = 4
	// correlated reads, within this time of each other, count as one.
	correlated = time.Minute
	maxFreq    = 3
	// ghosts remember the hashes of versions evicted from the small queue.
	minGhosts = 1024
)

// eviction is S3-FIFO over the versions of one tier: bytes decide when, whole
// versions go. Guarded by Store.mu.
type eviction struct {
	small, main queue
	// doomed go first, oldest first: replaced versions and copies held for
	// another worker.
	doomed queue
	ghosts map[hash]struct{}
	// order of the ghosts, a ring.
	order []hash
	next  int
	// evictions counts, for the turnover.
	evictions int
}

func newEviction() *eviction { return &eviction{ghosts: map[hash]struct{}{}} }

// admit puts a version in the queue it starts in.
func (e *eviction) admit(v *version, capacity int64) {
	switch _, known := e.ghosts[v.hash]; {
	case v.temporary:
		e.doomed.push(v)
	case float64(e.main.bytes) < mainShare*float64(capacity),
		// It was here not long ago; but it may be one of a loop that does not
		// fit, and then what is hit in every round of it stays.
		known && e.main.tail.freq == 0:
		e.main.push(v)
	default:
		e.small.push(v)
	}
}

// restore puts in a version that was kept over a restart: it is not new, and
// nothing is known of how often it was read.
func (e *eviction) restore(v *version) { e.main.push(v) }

// doom lets a version go first.
func (e *eviction) doom(v *version) {
	if v.queue != nil && v.queue != &e.doomed {
		v.queue.remove(v)
		e.doomed.push(v)
	}
}

// reprieve takes a doomed version back among the others.
func (e *eviction) reprieve(v *version) {
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

// victim takes the next version to evict out of its queue; nil when all are in
// use. The capacity is the tier's.
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
	// Each step evicts, moves to the main queue, spends a count, or passes one
	// in use: a bound for when everything is in use.
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
	// The small queue is all in use or tiny: take what there is.
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

// remember a hash, forgetting the oldest when there are more ghosts than
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
