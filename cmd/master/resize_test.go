package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/atomicfile"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// list writes a topology with the first masters only.
func (c *cluster) list(masters int) {
	c.t.Helper()
	raw, err := c.first(masters).Marshal()
	if err == nil {
		err = atomicfile.Write(c.rosterAt, raw, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) first(masters int) topology.Topology {
	t := c.Topology
	t.Masters = slices.Clone(t.Masters[:masters])
	return t
}

// alone waits until the first master is the only member and leads, and returns its
// status.
func (c *cluster) alone() *masterv1.StatusResponse {
	c.t.Helper()
	var status *masterv1.StatusResponse
	c.eventually("the first master is alone", func() error {
		first := c.admin.Members(c.t.Context())[0]
		if first.Err != nil {
			return first.Err
		}
		status = first.Status
		if len(status.GetPeers()) != 1 || !status.GetReady() || status.GetState() != "LEADER" {
			return fmt.Errorf("status %v", status)
		}
		return nil
	})
	return status
}

// resizes returns how often the number of masters changes: a few times by default,
// often on request.
func resizes() int {
	if rounds, err := strconv.Atoi(os.Getenv("JINDO_ROUNDS")); err == nil {
		return rounds
	}
	if os.Getenv("JINDO_LONG") != "" {
		return 100
	}
	return 2
}

// mayStop returns nil once a master that was removed may be stopped. One that learned of
// its removal before it read the topology has ended: it is started again, as executors
// do, and reports that its disk may be removed.
func (c *cluster) mayStop(i int) error {
	c.t.Helper()
	select {
	case <-c.processes[i].done:
		c.t.Logf("%s has ended: it is started again", c.Name(i))
		c.start(i, "--formed")
	default:
	}
	if contains(c, i, "may be stopped") == nil {
		return nil
	}
	return contains(c, i, "may be removed")
}

// figures are the sums of streams that have ended.
type figures struct {
	commands, reads int64
	failed, unknown int
	// worst is the longest time of a call.
	worst time.Duration
}

func (f *figures) add(s *stream) {
	f.commands += s.commands.Load()
	f.reads += s.reads.Load()
	f.failed += s.failed
	f.unknown += s.unknown
	f.worst = max(f.worst, s.worst)
}

func (f figures) String() string {
	return fmt.Sprintf("%d commands, %d reads, %d failed, %d with an unknown outcome, the worst stall took %s",
		f.commands, f.reads, f.failed, f.unknown, f.worst.Round(time.Millisecond))
}

// TestOneToThreeAndBackUnderLoad changes the number of masters by the topology file
// alone, as an executor does, while clients whose topology has only the first master
// send commands and reads. None fails, and none has an unknown outcome. Each round has a
// mount of its own, whose history is checked when the next round's clients have begun,
// so that the load has no gap and the check takes bounded memory.
func TestOneToThreeAndBackUnderLoad(t *testing.T) {
	c := newCluster(t, 3)
	c.list(1)
	c.start(0)
	c.alone()
	all := c.Topology
	start := func(round int) *stream {
		c.Topology = c.first(1)
		defer func() { c.Topology = all }()
		return startPacedStream(c, fmt.Sprintf("/data-%d", round), 3, 3, 5*time.Millisecond, nil)
	}
	s := start(0)
	rounds := resizes()
	var total figures
	for round := range rounds {
		s.awaitProgress(c)
		c.list(3)
		c.start(1, "--formed")
		c.start(2, "--formed")
		c.settled()
		s.awaitProgress(c)
		if to := c.Name(round % 3); to != c.Name(c.leader()) {
			if _, err := c.admin.Transfer(t.Context(), to); err != nil {
				t.Logf("round %d: %v", round, err)
			}
		}
		s.awaitProgress(c)
		c.list(1)
		c.alone()
		for _, i := range []int{2, 1} {
			c.eventually("a removed master may be stopped", func() error { return c.mayStop(i) })
			if state := c.end(i, syscall.SIGTERM); !state.Success() {
				t.Errorf("%s exited with %s", c.Name(i), state)
			}
		}
		s.awaitProgress(c)
		next := start(round + 1)
		s.finish(c)
		total.add(s)
		if s = next; t.Failed() {
			rounds = round + 1
			break
		}
	}
	s.awaitProgress(c)
	s.finish(c)
	total.add(s)
	t.Logf("%d rounds: %s", rounds, total)
	if total.unknown > 0 {
		t.Errorf("%d commands have an unknown outcome", total.unknown)
	}
	// The disks of the others belong to members that were removed.
	for _, i := range []int{1, 2} {
		if _, err := os.Stat(filepath.Join(c.DataDir(i), "member", "retired")); err != nil {
			t.Error(err)
		}
	}
}

// TestAnUnlistedMasterStaysIdle: a master that is started without being listed, with
// an empty disk or as a removed member, reports that, and joins once it is listed.
func TestAnUnlistedMasterStaysIdle(t *testing.T) {
	c := newCluster(t, 3)
	c.list(1)
	c.start(0)
	c.alone()
	c.mount("/data")
	c.start(1)
	c.eventually("the reason is stated", func() error { return contains(c, 1, "not a master of the topology") })
	c.list(3)
	c.start(2, "--formed")
	c.settled()
	if strings.Contains(c.processes[1].log.String(), "panic") {
		t.Fatal(c.processes[1].log)
	}
	c.mount("/more")
	sameDigest(c)
}
