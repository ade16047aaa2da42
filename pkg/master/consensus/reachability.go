package consensus

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// errNotReplicating ends a request to a peer that this member no longer
// replicates to: it is not the leader in that term any more, or the peer was
// removed.
var errNotReplicating = errors.New("this member does not replicate to the peer any more")

// errYielding ends a request to a peer that leadership is transferred to.
var errYielding = errors.New("the peer does not respond, and leadership is transferred to it")

// reachability records which peers did not respond to the last request. It is
// safe for concurrent use.
type reachability struct {
	mu          sync.Mutex
	unreachable map[raft.ServerID]bool
	changed     broadcast
}

func newReachability() *reachability {
	return &reachability{unreachable: map[raft.ServerID]bool{}}
}

// record stores the outcome of a request to a peer.
func (r *reachability) record(id raft.ServerID, err error) {
	r.mu.Lock()
	was := r.unreachable[id]
	if err != nil {
		r.unreachable[id] = true
	} else {
		delete(r.unreachable, id)
	}
	r.mu.Unlock()
	if was && err == nil {
		r.changed.send()
	}
}

func (r *reachability) of(id raft.ServerID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.unreachable[id]
}

// replicate sends a request that replicates, and repeats it after a failure
// once a heartbeat to the peer has succeeded. A failure that is returned makes
// the library wait before the next attempt, up to 10.24 s, and that wait is not
// cut short when the peer returns: a follower would receive heartbeats and no
// entries for that time. A repetition changes nothing: a follower that has the
// entries already compares them.
//
// The call ends when the peer responds, when this member stops, when it does
// not lead in the request's term any more, when the peer was removed from the
// configuration, and, after a failure, while leadership is transferred to the
// peer.
func (t *transport) replicate(id raft.ServerID, to raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	for attempt := 0; ; attempt++ {
		if err := t.awaitReachable(id, request.Term); err != nil {
			return err
		}
		*response = raft.AppendEntriesResponse{}
		err := t.Transport.AppendEntries(id, to, request, response)
		t.reachable.record(id, err)
		if err == nil {
			t.replicated(id)
			return nil
		}
		if t.yields(id, request.Term) {
			return err
		}
		if attempt == 0 {
			t.logger.Debug("cannot replicate; waiting until the peer responds to heartbeats", "peer", string(id), "error", err)
		}
		// Where heartbeats succeed and this request fails, the attempts are
		// spaced.
		select {
		case <-time.After(min(commitTimeout<<min(attempt, 8), t.heartbeat)):
		case <-t.stopped:
			return errStopped
		}
	}
}

// awaitReachable blocks until a peer has responded to the last request to it.
func (t *transport) awaitReachable(id raft.ServerID, term uint64) error {
	for {
		changed := t.reachable.changed.wait()
		if t.reachable.of(id) {
			return nil
		}
		if !t.leads(id, term) {
			return errNotReplicating
		}
		if t.yields(id, term) {
			return errYielding
		}
		timer := time.NewTimer(t.heartbeat / 2)
		select {
		case <-changed:
		case <-timer.C:
		case <-t.stopped:
			timer.Stop()
			return errStopped
		}
		timer.Stop()
	}
}

// yielding is a transfer of leadership in a term to a peer.
type yielding struct {
	peer  raft.ServerID
	term  uint64
	ended atomic.Bool
	// repeated is set when the peer has responded to no request since an earlier
	// transfer to it. The library may then continue this one after its end.
	repeated bool
}

// yield begins a transfer of leadership to a peer. Until the returned function is
// called, and after a repeated transfer until the peer has responded, requests of
// the term that replicate to it fail instead of being repeated.
func (t *transport) yield(peer raft.ServerID, term uint64) (end func()) {
	last := t.yielding.Load()
	y := &yielding{peer: peer, term: term, repeated: last != nil && last.peer == peer && last.term == term}
	t.yielding.Store(y)
	return func() { y.ended.Store(true) }
}

func (t *transport) yields(peer raft.ServerID, term uint64) bool {
	y := t.yielding.Load()
	return y != nil && y.peer == peer && y.term == term && (y.repeated || !y.ended.Load())
}

// replicated records that a peer has responded to a request.
func (t *transport) replicated(peer raft.ServerID) {
	if y := t.yielding.Load(); y != nil && y.peer == peer && y.ended.Load() {
		t.yielding.CompareAndSwap(y, nil)
	}
}
