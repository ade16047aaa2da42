package dirstore

import (
	"container/list"
	"sync"
	"time"
)

// maxRecent answers are kept; the least recently used go first.
const maxRecent = 65536

// nameID names a name.
type nameID struct {
	dirID
	name string
}

// recent keeps what the store said of single names of directories that are not
// listed. Safe for concurrent use.
type recent struct {
	mu    sync.Mutex
	byID  map[nameID]*list.Element
	order list.List // of *seen, the most recently used first
}

// seen is what the store said of one name.
type seen struct {
	id    nameID
	entry entry // of kind 0: it is not there
	at    time.Time
	epoch uint64
}

func (r *recent) get(id nameID) (seen, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.byID[id]
	if !ok {
		return seen{}, false
	}
	r.order.MoveToFront(e)
	return *e.Value.(*seen), true
}

func (r *recent) put(s seen) {
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
		r.remove(r.order.Back().Value.(*seen).id)
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
