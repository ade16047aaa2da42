package consensus

import (
	"errors"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

var errCut = errors.New("the link is cut")

// links connects the members of a test cluster, below the transport wrapper of
// this package.
type links struct {
	mu  sync.Mutex
	cut map[[2]string]bool
	// mute holds the links that pass heartbeats, and fail what replicates.
	mute map[[2]string]bool
	// losing is how many of the next responses to requests with entries are
	// lost.
	losing map[[2]string]int
	// held maps a member to a channel: responses to its heartbeats wait until
	// it is closed.
	held map[string]chan struct{}
	// waiting counts the responses that are held.
	waiting map[string]int
}

func newLinks() *links {
	return &links{cut: map[[2]string]bool{}, mute: map[[2]string]bool{}, losing: map[[2]string]int{}, held: map[string]chan struct{}{}, waiting: map[string]int{}}
}

// configure puts a member's transport on the links.
func (w *links) configure(c *Config) {
	from := c.Name
	c.hooks.transport = func(inner raft.Transport) raft.Transport {
		return &wire{Transport: inner, links: w, from: from}
	}
}

// part cuts the links between a and b, or restores them.
func (w *links) part(cut bool, a, b string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[[2]string{a, b}], w.cut[[2]string{b, a}] = cut, cut
}

// silence fails what replicates from a to b, or restores it.
func (w *links) silence(mute bool, a, b string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mute[[2]string{a, b}] = mute
}

// lose loses the next n responses of b to requests of a with entries.
func (w *links) lose(n int, a, b string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losing[[2]string{a, b}] = n
}

// lost returns how many responses are still to be lost.
func (w *links) lost(a, b string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.losing[[2]string{a, b}]
}

func (w *links) loses(from string, to raft.ServerID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	link := [2]string{from, nameOf(string(to))}
	if w.losing[link] == 0 {
		return false
	}
	w.losing[link]--
	return true
}

func (w *links) muted(from string, to raft.ServerID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mute[[2]string{from, nameOf(string(to))}]
}

func (w *links) check(from string, to raft.ServerID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut[[2]string{from, nameOf(string(to))}] {
		return errCut
	}
	return nil
}

// hold holds back the responses to the heartbeats of from, until the function
// that it returns is called.
func (w *links) hold(from string) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := make(chan struct{})
	w.held[from] = held
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.held[from] == held {
			delete(w.held, from)
			close(held)
		}
	}
}

func (w *links) wait(from string) {
	w.mu.Lock()
	held := w.held[from]
	if held != nil {
		w.waiting[from]++
	}
	w.mu.Unlock()
	if held != nil {
		<-held
	}
}

func (w *links) heldBack(from string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting[from]
}

type wire struct {
	raft.Transport
	links *links
	from  string
}

var _ raft.WithPreVote = (*wire)(nil)

func (w *wire) AppendEntries(id raft.ServerID, to raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	if err := w.links.check(w.from, id); err != nil {
		return err
	}
	if !heartbeat(request) && w.links.muted(w.from, id) {
		return errCut
	}
	err := w.Transport.AppendEntries(id, to, request, response)
	if err == nil && len(request.Entries) > 0 && w.links.loses(w.from, id) {
		return errCut
	}
	if err == nil && heartbeat(request) {
		w.links.wait(w.from)
	}
	return err
}

func (w *wire) RequestVote(id raft.ServerID, to raft.ServerAddress, request *raft.RequestVoteRequest, response *raft.RequestVoteResponse) error {
	if err := w.links.check(w.from, id); err != nil {
		return err
	}
	return w.Transport.RequestVote(id, to, request, response)
}

func (w *wire) RequestPreVote(id raft.ServerID, to raft.ServerAddress, request *raft.RequestPreVoteRequest, response *raft.RequestPreVoteResponse) error {
	if err := w.links.check(w.from, id); err != nil {
		return err
	}
	return w.Transport.(raft.WithPreVote).RequestPreVote(id, to, request, response)
}

func (w *wire) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, request *raft.InstallSnapshotRequest, response *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := w.links.check(w.from, id); err != nil {
		return err
	}
	return w.Transport.InstallSnapshot(id, to, request, response, data)
}

func (w *wire) TimeoutNow(id raft.ServerID, to raft.ServerAddress, request *raft.TimeoutNowRequest, response *raft.TimeoutNowResponse) error {
	if err := w.links.check(w.from, id); err != nil {
		return err
	}
	return w.Transport.TimeoutNow(id, to, request, response)
}
