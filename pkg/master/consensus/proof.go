package consensus

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// keyIncarnation is the key, beside term and vote, of the newest start of this
// member. It is in the same file as they are, so that an older copy of the file
// has the start of that time.
var keyIncarnation = []byte("Incarnation")

// errUnproved is returned for votes that this member withholds.
var errUnproved = errors.New("this master does not vote yet: the other masters have not confirmed that its disk is current")

// proof decides whether this member may vote: whether its disk is the one that
// the member had when it last ran, and not an older copy.
//
// The invariant is that a member votes, or is elected, only with a log that has
// every entry that it ever acknowledged, and in a term in which it has not voted
// before. An older copy of a disk violates both: it has forgotten entries and
// votes. Therefore a member neither votes nor is a candidate after a start until
// a majority of the voters, itself included, have reported what they remember
// of it, and
//
//   - none remembers a later start of it than the disk has: otherwise the member
//     never votes again, and joins as a new one;
//   - none remembers a later last entry of its log than the log has now: until
//     then it follows the leader.
//
// Thereafter it votes only in terms above floor, the newest term of those
// members: in the terms up to it, it may have voted before. A leader remembers
// what a member acknowledged to it; every member remembers the starts and the
// positions that the others report to it (see Node.watchPeer).
//
// An older copy remains unnoticed if every member that reports last heard of
// this one before the copy was made: when all disks are replaced by older copies
// at the same time, when the others were not in contact with this member since,
// for a cluster of one, and for a copy of the only disk of a cluster that has grown
// since, if none of the new members responds.
type proof struct {
	mu sync.Mutex
	// current is the newest start that is on disk.
	current incarnation
	// passed is set once this member may vote. waiting is why it may not yet,
	// refuted why it never will.
	passed  bool
	waiting string
	refuted string
	floor   uint64
	changed broadcast
}

// mayVote reports whether this member may vote, or be a candidate, in a term.
func (p *proof) mayVote(term uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return mutantVoteUnproved || p.passed && term > p.floor
}

// reached returns floor. A leader of an earlier term was deposed.
func (p *proof) reached() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.floor
}

func (p *proof) state() (passed bool, refuted string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed, p.refuted
}

// reason returns why this member does not vote; empty when it does.
func (p *proof) reason() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passed || mutantVoteUnproved {
		return ""
	}
	return cmp.Or(p.refuted, p.waiting, "this master has just started")
}

func (p *proof) incarnation() incarnation {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

// testimony is the report of one peer.
type testimony struct {
	peer       string
	term       uint64
	remembered *masterv1.MemberRecord
}

// olderDisk returns why a peer's memory shows that this disk is an older copy;
// empty when it does not.
func (t testimony) olderDisk(current incarnation) string {
	switch r := recordOf(t.remembered); {
	case r.Start > current.Start:
		return fmt.Sprintf("the disk of this master is an older copy: %s remembers start %d of it, and the disk has start %d", t.peer, r.Start, current.Start)
	case r.Start == current.Start && r.ID != current.ID:
		return fmt.Sprintf("the disk of this master is a copy: %s remembers another start %d of it", t.peer, r.Start)
	}
	return ""
}

// uncovered returns what a log that ends at last lacks of what a peer remembers
// of it; empty when it lacks nothing.
func (t testimony) uncovered(last position) string {
	if r := recordOf(t.remembered); last.before(r.Last) {
		return fmt.Sprintf("this master does not vote: %s remembers that its log had entry %d of term %d, and it ends with entry %d of term %d",
			t.peer, r.Last.Index, r.Last.Term, last.Index, last.Term)
	}
	return ""
}

// readIncarnation reads the newest start from disk. The start is 0 on a disk
// that has none.
func readIncarnation(store raft.StableStore) (incarnation, error) {
	raw, err := store.Get(keyIncarnation)
	if absent(err) || err == nil && len(raw) == 0 {
		return incarnation{}, nil
	}
	var current incarnation
	if err == nil {
		err = json.Unmarshal(raw, &current)
	}
	if err != nil {
		return incarnation{}, fmt.Errorf("read the start of this member: %w", err)
	}
	return current, nil
}

// nextIncarnation writes the next start to disk. If it fails, for instance on a
// full disk, this member does not vote; it does not end.
func nextIncarnation(store *failStopDisk, current incarnation) (incarnation, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return incarnation{}, fmt.Errorf("generate an id of this start: %w", err)
	}
	next := incarnation{Start: current.Start + 1, ID: hex.EncodeToString(random[:])}
	raw, err := json.Marshal(next)
	if err != nil {
		return incarnation{}, fmt.Errorf("encode the start of this member: %w", err)
	}
	const act = "write the start of this member"
	err = store.watch(act, func() error { return store.disk.Set(keyIncarnation, sealValue(keyIncarnation, raw)) })
	if err != nil {
		return incarnation{}, fmt.Errorf("%s: %w", act, err)
	}
	return next, nil
}

// openProof reads what the disk holds about starts, of this member and others.
func (n *Node) openProof() error {
	var err error
	if n.proof.current, err = readIncarnation(n.store); err != nil {
		return err
	}
	if n.memory, err = openMemory(n.dir.peers()); err != nil {
		n.logger.Warn("what this master remembers of the others is lost", "error", err)
	}
	return nil
}

// proveLoop evaluates what the peers report until this member may vote, or
// never will.
func (n *Node) proveLoop() {
	for {
		n.prove()
		if passed, refuted := n.proof.state(); passed || refuted != "" || !n.pause(watchTick/2) {
			return
		}
	}
}

// doubt ends the right to vote when a peer that had not responded before
// remembers a later start of this member.
func (p *proof) doubt(t testimony) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if reason := t.olderDisk(p.current); p.passed && reason != "" {
		p.passed, p.refuted = false, reason
	}
}

// prove evaluates what the peers reported.
func (n *Node) prove() {
	reports, failed := n.peers.reports()
	p := &n.proof
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passed || p.refuted != "" {
		return
	}
	last := n.position()
	p.waiting = ""
	for _, t := range reports {
		if p.refuted = t.olderDisk(p.current); p.refuted != "" {
			n.logger.Error("this master does not vote", "reason", p.refuted)
			return
		}
		p.waiting = cmp.Or(p.waiting, t.uncovered(last))
	}
	// Every peer is heard that responds, more than a majority if possible.
	if len(reports)+failed < n.peers.count() || n.heard(reports)+1 < n.voters()/2+1 {
		p.waiting = "waiting for other masters to confirm that the disk of this master is current" + n.formerVoters()
	}
	if p.waiting != "" {
		return
	}
	next := p.current
	if n.peers.count() > 0 || n.voters() > 1 {
		var err error
		if next, err = nextIncarnation(n.store, p.current); err != nil {
			p.waiting = err.Error()
			return
		}
	}
	for _, t := range reports {
		p.floor = max(p.floor, t.term)
	}
	p.current, p.passed = next, true
	n.logger.Debug("the disk of this master is current", "start", next.Start, "floor", p.floor)
	p.changed.send()
}

// heard returns how many of the reports are of voters, or, while there is no
// configuration, how many there are.
func (n *Node) heard(reports []testimony) int {
	servers, heard := n.servers(), 0
	for _, t := range reports {
		if len(servers) == 0 || slices.ContainsFunc(servers, func(s raft.Server) bool {
			return s.Suffrage == raft.Voter && nameOf(string(s.ID)) == t.peer
		}) {
			heard++
		}
	}
	return heard
}

// voters returns how many members the cluster has: the voters of the
// configuration, or, while there is none, the masters of the topology.
func (n *Node) voters() int {
	if voters := countVoters(n.servers()); voters > 0 {
		return voters
	}
	return len(n.Topology().Masters)
}

// awaitProof blocks until this member may vote. It returns false when the node
// stops.
func (n *Node) awaitProof() bool {
	for {
		changed := n.proof.changed.wait()
		if passed, _ := n.proof.state(); passed || mutantVoteUnproved {
			return true
		}
		select {
		case <-changed:
		case <-n.stopped:
			return false
		}
	}
}

// position returns the position of the last entry of the log, or of the
// snapshot if that is later.
func (n *Node) position() position {
	meta := n.snapshots.meta()
	last := position{Term: meta.Term, Index: meta.Index}
	var entry raft.Log
	if index := n.store.last.Load(); index > 0 && n.store.GetLog(index, &entry) == nil {
		if at := (position{Term: entry.Term, Index: entry.Index}); last.before(at) {
			last = at
		}
	}
	return last
}
