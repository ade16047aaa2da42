package server

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// leases holds, on the leader, when each session expires unless it is used, in
// the time of an awakeClock. Leases are never on disk. It is safe for
// concurrent use.
type leases struct {
	mu        sync.Mutex
	deadlines map[string]time.Duration
	used      map[string]int64
}

func newLeases() *leases {
	return &leases{deadlines: map[string]time.Duration{}, used: map[string]int64{}}
}

// reset drops all leases. The next reconcile grants every session its full time
// to live.
func (l *leases) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.deadlines)
	clear(l.used)
}

// reconcile takes over the sessions of the state. A session that is new or was
// used since the last call is granted its full time to live from now.
func (l *leases) reconcile(sessions []*statev1.Session, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	present := map[string]bool{}
	for _, s := range sessions {
		present[s.GetId()] = true
		used, known := l.used[s.GetId()]
		if !known || used != s.GetUsed() {
			l.used[s.GetId()] = s.GetUsed()
			l.extend(s.GetId(), now+time.Duration(s.GetTtl()))
		}
	}
	absent := func(id string) bool { return !present[id] }
	maps.DeleteFunc(l.used, func(id string, _ int64) bool { return absent(id) })
	maps.DeleteFunc(l.deadlines, func(id string, _ time.Duration) bool { return absent(id) })
}

func (l *leases) extend(id string, to time.Duration) {
	l.deadlines[id] = max(l.deadlines[id], to)
}

// renew extends a session to a time at least.
func (l *leases) renew(id string, to time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extend(id, to)
}

// due returns the ids of the sessions that have expired, sorted, at most limit.
// They are due again after retry if they still exist.
func (l *leases) due(now, retry time.Duration, limit int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for id, deadline := range l.deadlines {
		if deadline <= now && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		l.deadlines[id] = now + retry
	}
	slices.Sort(ids)
	return ids
}
