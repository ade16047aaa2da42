package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// oldDisk is a cluster of which one member's disk is replaced by an older copy.
type oldDisk struct {
	*cluster
	links            *links
	leading, b, away int
	copied           string
}

func newOldDisk(t *testing.T, change ...func(*Config)) *oldDisk {
	t.Helper()
	w := newLinks()
	o := &oldDisk{cluster: newCluster(t, 3, append(change, w.configure)...), links: w, copied: filepath.Join(t.TempDir(), "copied")}
	o.startAll()
	o.leading = o.whole()
	o.b, o.away = (o.leading+1)%3, (o.leading+2)%3
	o.propose("first")
	o.agree("first")
	return o
}

// save copies the disk of b, which is stopped or writes nothing. No process is
// started for it: the child would hold the listeners of other tests open until it
// executes its program.
func (o *oldDisk) save() {
	o.t.Helper()
	if err := os.CopyFS(o.copied, os.DirFS(o.DataDir(o.b))); err != nil {
		o.t.Fatal(err)
	}
}

// restore replaces the disk of b by the copy.
func (o *oldDisk) restore() {
	o.t.Helper()
	o.Wipe(o.b)
	if err := os.CopyFS(o.DataDir(o.b), os.DirFS(o.copied)); err != nil {
		o.t.Fatal(err)
	}
}

// isolate acknowledges a command that only the leader and b have.
func (o *oldDisk) isolate() {
	o.t.Helper()
	o.links.part(true, o.Name(o.leading), o.Name(o.away))
	o.links.part(true, o.Name(o.b), o.Name(o.away))
	o.proposeTo([]*member{o.members[o.leading], o.members[o.b]}, "acknowledged")
	o.eventually("b has the command", func() error {
		if !slices.Contains(o.members[o.b].state.all(), "acknowledged") {
			return errors.New("it has not")
		}
		return nil
	})
}

func (o *oldDisk) crash() {
	o.t.Helper()
	o.kill(o.b)
	o.kill(o.leading)
	o.links.part(false, o.Name(o.b), o.Name(o.away))
	o.links.part(false, o.Name(o.leading), o.Name(o.away))
}

// withheld waits until b gives a reason that contains words, and for some
// elections after that, in which no member may serve.
func (o *oldDisk) withheld(words string) {
	o.t.Helper()
	o.eventually("b gives a reason", func() error {
		if reason := o.members[o.b].node.Reason(); !strings.Contains(reason, words) {
			return fmt.Errorf("the reason is %q", reason)
		}
		return nil
	})
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for i, m := range o.members {
			if m != nil && m.node.readyTerm() != 0 {
				o.t.Fatalf("%s serves and has %q", o.Name(i), m.state.all())
			}
		}
	}
}

// A volume snapshot of one member is restored: the copy has forgotten that it
// acknowledged a command, and its vote would elect a leader without it.
func TestAnOlderCopyOfADiskDoesNotVote(t *testing.T) {
	t.Parallel()
	o := newOldDisk(t)
	o.stop(o.b)
	o.save()
	o.start(o.b)
	if o.leading = o.whole(); o.leading == o.b {
		o.leading = (o.b + 1) % 3
		o.transfer(o.Name(o.leading), o.leading)
	}
	o.away = 3 - o.leading - o.b
	o.propose("second")
	o.agree("second")
	o.isolate()
	o.crash()
	o.restore()
	b := o.start(o.b)
	o.withheld("older copy")
	// The member joins as a new one once there is a leader without it.
	o.start(o.leading)
	select {
	case err := <-b.fatal:
		if !strings.Contains(err.Error(), "older copy") {
			t.Errorf("the member ends with %q", err)
		}
	case <-time.After(waitTimeout):
		t.Fatalf("the member did not end; its reason is %q", b.node.Reason())
	}
	o.kill(o.b)
	o.start(o.b)
	o.whole()
	o.propose("after")
	o.agree("first", "second", "acknowledged", "after")
}

// A copy that was made while the member ran has the same start. What the member
// reported about its log since then is remembered.
func TestAnOlderCopyOfARunningDiskDoesNotVote(t *testing.T) {
	t.Parallel()
	o := newOldDisk(t)
	o.save()
	o.propose("second")
	o.agree("second")
	o.isolate()
	id := o.id(o.b)
	last := o.members[o.b].node.position()
	o.eventually("the third member remembers the log of b", func() error {
		if r, _ := o.members[o.away].node.memory.of(id); r.Last.before(last) {
			return fmt.Errorf("it remembers %+v", r)
		}
		return nil
	})
	o.crash()
	o.restore()
	o.start(o.b)
	o.withheld("remembers that its log had entry")
	o.start(o.leading)
	o.whole()
	o.propose("after")
	o.agree("first", "second", "acknowledged", "after")
}

// The leader needs a member for its majority whose disk is found to be an older
// copy. It stays until the third is back, and only then joins as a new one.
func TestAnOlderCopyIsReplacedOnceItIsNotNeeded(t *testing.T) {
	t.Parallel()
	// A leader that a busy machine made step down would need the vote of that member.
	o := newOldDisk(t, func(c *Config) { c.Heartbeat, c.Election, c.Lease = 4*time.Second, 4*time.Second, 3*time.Second })
	b := o.members[o.b]
	o.kill(o.away)
	o.eventually("the leader misses the third", func() error {
		if o.members[o.leading].node.mayRemove(b.node.id) == nil {
			return errors.New("it has responded recently")
		}
		return nil
	})
	later := peerRecord{incarnation: incarnation{Start: b.node.proof.incarnation().Start + 1, ID: "x"}}
	b.node.proof.doubt(testimony{peer: o.Name(o.away), remembered: later.message()})
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-b.fatal:
			t.Fatalf("the leader is left without a majority: %v", err)
		default:
			o.propose("meanwhile")
		}
	}
	o.start(o.away)
	select {
	case err := <-b.fatal:
		if !strings.Contains(err.Error(), "older copy") {
			t.Errorf("the member ends with %q", err)
		}
	case <-time.After(waitTimeout):
		t.Fatalf("the member did not end; its reason is %q", b.node.Reason())
	}
	o.kill(o.b)
	o.start(o.b)
	o.whole()
	if o.id(o.b) == b.node.id {
		t.Error("the member kept its id")
	}
	o.propose("after")
	o.agree("first", "meanwhile", "after")
}

// The member whose disk is current votes, with one other alive.
func TestACurrentDiskVotesWithoutTheLeader(t *testing.T) {
	t.Parallel()
	o := newOldDisk(t)
	o.isolate()
	o.crash()
	o.start(o.b)
	o.leader()
	o.propose("after")
	o.agree("first", "acknowledged", "after")
}

// All members start from their disks at the same time.
func TestAllMembersRestart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	c.whole()
	c.propose("before")
	for range 2 {
		for i := range c.members {
			c.kill(i)
		}
		c.startAll()
		c.whole()
	}
	c.propose("after")
	c.agree("before", "after")
}

func TestTestimonies(t *testing.T) {
	t.Parallel()
	current, last := incarnation{Start: 3, ID: "c"}, position{Term: 4, Index: 10}
	for _, test := range []struct {
		name        string
		record      peerRecord
		older, lack bool
	}{
		{name: "nothing"},
		{name: "an earlier start", record: peerRecord{incarnation: incarnation{Start: 2, ID: "b"}, Last: position{Term: 4, Index: 9}}},
		{name: "this start", record: peerRecord{incarnation: current, Last: last}},
		{name: "a later start", record: peerRecord{incarnation: incarnation{Start: 4, ID: "d"}}, older: true},
		{name: "another start of the same number", record: peerRecord{incarnation: incarnation{Start: 3, ID: "x"}}, older: true},
		{name: "a later entry", record: peerRecord{incarnation: current, Last: position{Term: 4, Index: 11}}, lack: true},
		{name: "an entry of a later term", record: peerRecord{incarnation: current, Last: position{Term: 5, Index: 2}}, lack: true},
		{name: "a longer log of an earlier term", record: peerRecord{incarnation: current, Last: position{Term: 3, Index: 99}}},
	} {
		r := testimony{peer: "m-1", remembered: test.record.message()}
		if got := r.olderDisk(current); (got != "") != test.older {
			t.Errorf("%s: an older disk: %q", test.name, got)
		}
		if got := r.uncovered(last); (got != "") != test.lack {
			t.Errorf("%s: uncovered: %q", test.name, got)
		}
	}
	if r := (testimony{peer: "m-1"}); r.olderDisk(current) != "" || r.uncovered(last) != "" {
		t.Error("a peer that remembers nothing contradicts")
	}
}

// In terms in which a peer has taken part, the vote of this member may be given.
func TestNoVoteInATermOfTheTime(t *testing.T) {
	t.Parallel()
	p := &proof{passed: true, floor: 7}
	if p.mayVote(7) || !p.mayVote(8) {
		t.Errorf("votes in term 7: %v, 8: %v", p.mayVote(7), p.mayVote(8))
	}
	x := &transport{node: &Node{proof: proof{passed: true, floor: 7}}}
	for term, deposed := range map[uint64]bool{6: true, 7: false} {
		response := x.deposed(&raft.AppendEntriesRequest{Term: term})
		if (response != nil) != deposed || deposed && (response.Term != 7 || response.Success) {
			t.Errorf("the response to a leader of term %d is %+v", term, response)
		}
	}
}

func TestMemorySurvivesARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers.json")
	m, err := openMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	report := peerRecord{incarnation: incarnation{Start: 2, ID: "b"}, Last: position{Term: 1, Index: 5}, Format: 3}
	if err := m.record("m-1-1", report, nil); err != nil {
		t.Fatal(err)
	}
	if m, err = openMemory(path); err != nil {
		t.Fatal(err)
	}
	got, ok := m.of("m-1-1")
	if !ok || got.incarnation != report.incarnation || got.Last != report.Last || got.Format != 3 {
		t.Errorf("after a restart it remembers %+v", got)
	}
	for _, stale := range []incarnation{{Start: 1, ID: "a"}, {Start: 2, ID: "x"}} {
		if err := m.record("m-1-1", peerRecord{incarnation: stale}, nil); err == nil {
			t.Errorf("a report of start %+v replaced %+v", stale, report.incarnation)
		}
	}
	m.acked("m-1-1", position{Term: 2, Index: 9})
	if err := m.flush(); err != nil {
		t.Fatal(err)
	}
	if m, err = openMemory(path); err != nil {
		t.Fatal(err)
	}
	if got, _ := m.of("m-1-1"); got.Last != (position{Term: 2, Index: 9}) {
		t.Errorf("after a restart, what was acknowledged is %+v", got.Last)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err := openMemory(path); err == nil || len(m.peers) != 0 {
		t.Errorf("a damaged file: %+v, %v", m.peers, err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m, err := openMemory(filepath.Join(t.TempDir(), "peers.json"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * memoryKept {
		id := fmt.Sprintf("m-1-%d", i)
		m.acked("m-1-1", position{})
		if err := m.record(raft.ServerID(id), peerRecord{incarnation: incarnation{Start: 1, ID: "a"}}, nil); err != nil {
			t.Fatal(err)
		}
		r := m.peers[raft.ServerID(id)]
		r.heard = time.Now().Add(-time.Hour)
		m.peers[raft.ServerID(id)] = r
	}
	if len(m.peers) > memoryKept+1 {
		t.Errorf("%d members are remembered", len(m.peers))
	}
}
