package dirstore

import (
	"container/list"
	"sync"
	"time"
)

// maxRecent bounds the observations; the least recently used are dropped first.
const maxRecent = 65536

// nameID identifies a name in a directory.
type nameID struct {
	dirID
	name string
}

// recent caches observations of single names of directories that are not
// listed. It is safe for concurrent use.
type recent struct {
	mu    sync.Mutex
	byID  map[nameID]*list.Element
	order list.List // of *observation, the most recently used first
}

// observation is the result of a query for one name.
type observation struct {
	id    nameID
	entry entry // of kind 0 if the name is absent
	at    time.Time
	epoch uint64
}

func (r *recent) get(id nameID) (observation, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.byID[id]
	if !ok {
		return observation{}, false
	}
	r.order.MoveToFront(e)
	return *e.Value.(*observation), true
}

func (r *recent) put(s observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.byID[s.id]; ok {
		e.Value = &s
		r.order.MoveToFront(e)
		return
	}
	if r.byID == nil {
		r.byID = map[nameID]*list.Element{}
	}
	r.byID[s.id] = r.order.PushFront(&s)
	if r.order.Len() > maxRecent {
		r.remove(r.order.Back().Value.(*observation).id)
	}
}

func (r *recent) forget(id nameID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(id)
}

func (r *recent) remove(id nameID) {
	if e, ok := r.byID[id]; ok {
		r.order.Remove(e)
		delete(r.byID, id)
	}
}
