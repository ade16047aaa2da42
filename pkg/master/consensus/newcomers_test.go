package consensus

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestNewcomersSlowCommandsDown(t *testing.T) {
	var c newcomers
	begin := time.Now()
	step := func(term uint64, after time.Duration, follow map[raft.ServerID]bool, want bool) {
		t.Helper()
		c.observe(term, follow, begin.Add(after))
		if got := c.slowing.Load(); got != want {
			t.Fatalf("after %v in term %d with %v: slowing %v, want %v", after, term, follow, got, want)
		}
	}
	// One that was never behind needs nothing.
	step(1, 0, map[raft.ServerID]bool{"a": false}, false)
	step(1, time.Second, map[raft.ServerID]bool{"a": true}, true)
	// Caught up, it still has to remain so until it has its vote.
	step(1, 2*time.Second, map[raft.ServerID]bool{"a": false}, true)
	step(1, 3*time.Second, map[raft.ServerID]bool{}, false)
	// One that is too slow does not slow commands down forever, nor does it again in
	// the same term; another one does.
	step(1, 4*time.Second, map[raft.ServerID]bool{"b": true}, true)
	step(1, 4*time.Second+newcomerPatience, map[raft.ServerID]bool{"b": true}, false)
	step(1, 5*time.Second+newcomerPatience, map[raft.ServerID]bool{"b": true, "c": true}, true)
	// Another leader begins anew, and one that does not lead slows nothing down.
	step(2, 6*time.Second+newcomerPatience, map[raft.ServerID]bool{"b": true}, true)
	step(0, 7*time.Second+newcomerPatience, nil, false)
}
