package server

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// leases holds, on the leader, when each session expires unless it is used, in
// the time of an awakeClock. Leases are never on disk. It is safe for
// concurrent use.
//
// A session whose expiry was proposed is not renewed here any more, because the
// command may be executed at any time: it is renewed by a command of the log,
// after which the expiry changes nothing.
type leases struct {
	mu        sync.Mutex
	deadlines map[string]time.Duration
	used      map[string]int64
	// expiring holds the sessions whose expiry was proposed in this term and
	// may still be executed.
	expiring map[string]bool
}

func newLeases() *leases {
	return &leases{deadlines: map[string]time.Duration{}, used: map[string]int64{}, expiring: map[string]bool{}}
}

// reset drops all leases. The next reconcile grants every session its full time
// to live.
func (l *leases) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.deadlines)
	clear(l.used)
	// What an earlier leader proposed was executed before this member served.
	clear(l.expiring)
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
	maps.DeleteFunc(l.expiring, func(id string, _ bool) bool { return absent(id) })
}

func (l *leases) extend(id string, to time.Duration) {
	l.deadlines[id] = max(l.deadlines[id], to)
}

// renew extends a session to a time at least. It returns false, and changes
// nothing, while the session's expiry may still be executed.
func (l *leases) renew(id string, to time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expiring[id] {
		return false
	}
	l.extend(id, to)
	return true
}

// due returns the sessions that have expired, sorted by id, at most limit, with
// the use that they are based on. They are expiring until settled is called,
// and due again after retry if they still exist.
func (l *leases) due(now, retry time.Duration, limit int) []*statev1.Expiry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var expiries []*statev1.Expiry
	for id, deadline := range l.deadlines {
		if deadline <= now && len(expiries) < limit {
			expiries = append(expiries, &statev1.Expiry{Session: id, Used: l.used[id]})
		}
	}
	for _, e := range expiries {
		l.deadlines[e.GetSession()] = now + retry
		l.expiring[e.GetSession()] = true
	}
	slices.SortFunc(expiries, func(a, b *statev1.Expiry) int { return cmp.Compare(a.GetSession(), b.GetSession()) })
	return expiries
}

// settled ends the expiry of sessions whose command was executed, or never will
// be.
func (l *leases) settled(expiries []*statev1.Expiry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range expiries {
		delete(l.expiring, e.GetSession())
	}
}
