package consensus

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// The sweep damages every class of bytes in a member's directory.

// sweepClasses are the classes of bytes.
var sweepClasses = []string{
	"meta page", "branch page", "leaf page", "free page", "stable key", "log truncated", "log lost",
	"snapshot state", "snapshot metadata", "snapshot directory", "identity", "tail record",
}

// sweepSeed is the seed of a sweep: JINDO_SEED, or a fixed one.
func sweepSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(20261130)
	if text := os.Getenv("JINDO_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("JINDO_SEED: %v", err)
		}
	}
	t.Logf("seed %d; JINDO_SEED sets another", seed)
	return seed
}

// outcomes counts the outcomes of a sweep by class.
type outcomes map[string]map[string]int

func (o outcomes) add(class, outcome string) {
	if o[class] == nil {
		o[class] = map[string]int{}
	}
	o[class][outcome]++
}

// table returns a row for each class.
func (o outcomes) table() string {
	columns := map[string]bool{}
	for _, row := range o {
		for outcome := range row {
			columns[outcome] = true
		}
	}
	sorted := slices.Sorted(maps.Keys(columns))
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-20s %s\n", "class", strings.Join(sorted, " | "))
	for _, class := range sweepClasses {
		fmt.Fprintf(&out, "%-20s", class)
		for _, outcome := range sorted {
			fmt.Fprintf(&out, " %*d |", len(outcome), o[class][outcome])
		}
		out.WriteString("\n")
	}
	return out.String()
}

// sweepImage is the directory of an only master that was killed.
type sweepImage struct {
	dir      string
	commands []string
	values   map[string]string
}

// newSweepImage runs an only master with two snapshots. Its log begins before the
// older one if it keeps many entries, and after it if it keeps few.
func newSweepImage(t *testing.T, kept uint64) sweepImage {
	t.Helper()
	c := newCluster(t, 1, func(c *Config) {
		c.Heartbeat, c.Election, c.Lease = 100*time.Millisecond, 100*time.Millisecond, 80*time.Millisecond
		c.sizes = sizes{trailing: kept, threshold: 1 << 40, interval: time.Hour}
	})
	m := c.start(0)
	c.whole()
	for i := range 60 {
		c.propose(fmt.Sprintf("%d %s", i, strings.Repeat("x", 300)))
		if i == 20 || i == 45 {
			if err := m.node.snapshot(); err != nil {
				t.Fatal(err)
			}
		}
	}
	image := sweepImage{dir: c.DataDir(0), commands: m.state.all(), values: map[string]string{}}
	for _, key := range [][]byte{keyTerm, keyVoteTerm, keyCandidate} {
		value, err := m.node.store.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		image.values[string(key)] = string(value)
	}
	c.kill(0)
	return image
}

// TestSweepOfOneDirectory damages the directory of an only master and reads it as
// a start does, in this process: a panic or a fault ends the test. What is
// accepted must hold every acknowledged command, and stay intact when the member
// continues to write.
func TestSweepOfOneDirectory(t *testing.T) {
	rounds := 500
	if os.Getenv("JINDO_LONG") != "" {
		rounds = 5000
	}
	r := rand.New(rand.NewPCG(sweepSeed(t), 1))
	images := []sweepImage{newSweepImage(t, 1000), newSweepImage(t, 15)}
	found := outcomes{}
	base := t.TempDir()
	for i := range rounds {
		image, class := images[i%2], sweepClasses[i/2%len(sweepClasses)]
		h := memberDir{filepath.Join(base, fmt.Sprint(i))}
		if err := os.CopyFS(h.dir, os.DirFS(image.dir)); err != nil {
			t.Fatal(err)
		}
		what, err := newDamager(t, r, h).damage(class)
		if err != nil {
			t.Fatal(err)
		}
		outcome := make(chan string, 1)
		go func() { outcome <- image.outcome(h) }()
		select {
		case got := <-outcome:
			found.add(class, got)
			if !slices.Contains([]string{"refused", "restored", "harmless"}, got) {
				t.Errorf("damage %d, %s, %s: %s", i, class, what, got)
			}
		case <-time.After(waitTimeout):
			t.Fatalf("damage %d, %s, %s: hangs", i, class, what)
		}
		if err := os.RemoveAll(h.dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(found.table())
}

// outcome opens a damaged directory as a start does, and compares what it holds.
func (s sweepImage) outcome(h memberDir) string {
	const name, cluster = "m-0", "cluster-of-a-test"
	before := snapshotOfFiles(h.member())
	proven, err := h.open(name, cluster)
	if err != nil {
		if _, ok := err.(*DamageError); !ok { //nolint:errorlint // exactly this type
			return "refused without naming damage: " + err.Error()
		}
		if snapshotOfFiles(h.member()) != before {
			return "refused, but the directory was changed"
		}
		return "refused"
	}
	if problem := s.compare(h, proven); problem != "" {
		return problem
	}
	again, err := h.open(name, cluster)
	if err != nil || again.identity != proven.identity {
		return fmt.Sprintf("damaged by an append: %v", err)
	}
	if len(proven.repaired)+len(proven.redo)+len(proven.values) > 0 {
		return "restored"
	}
	return "harmless"
}

// snapshotOfFiles returns names, sizes and times of the files below a directory.
func snapshotOfFiles(dir string) string {
	var out strings.Builder
	_ = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&out, path, info.Size(), info.ModTime())
		}
		return nil
	})
	return out.String()
}

// compare returns a description of what a directory does not hold, or holds
// otherwise, and appends to it.
func (s sweepImage) compare(h memberDir, proven provenDir) string {
	var failed error
	n := &Node{config: Config{DiskTimeout: time.Minute, Fatal: func(err error) { failed = err }}, dir: h, metrics: newMetrics(), stopped: make(chan struct{})}
	n.logger = quiet()
	if err := n.openStores(proven); err != nil {
		return "accepted, but cannot be opened: " + err.Error()
	}
	defer func() { _, _ = n.store.disk.Close(), n.store.tail.close() }()
	state, err := n.replay(proven.snapshot)
	if err != nil {
		return "accepted, but cannot be read: " + err.Error()
	}
	if !slices.Equal(state, s.commands) {
		return fmt.Sprintf("SILENT LOSS: %d of %d commands", len(state), len(s.commands))
	}
	for key, want := range s.values {
		if got, err := n.store.Get([]byte(key)); err != nil || string(got) != want {
			return fmt.Sprintf("SILENT LOSS of %s: %x, %v", key, got, err)
		}
	}
	last := max(n.store.last.Load(), proven.snapshot.Index)
	if err := n.store.StoreLogs(entriesOfTerm(last+1, last+3, 9)); err != nil {
		return "cannot append: " + err.Error()
	}
	if err := n.store.SetUint64(keyTerm, 9); err != nil {
		return "cannot write the term: " + err.Error()
	}
	if failed != nil {
		return "stopped: " + failed.Error()
	}
	return ""
}

// replay returns the commands that a member has after a start from a snapshot.
func (n *Node) replay(snapshot raft.SnapshotMeta) ([]string, error) {
	state := &journal{}
	if snapshot.Index > 0 {
		listed, err := n.snapshots.List()
		if err != nil || len(listed) != 1 || listed[0].ID != snapshot.ID {
			return nil, fmt.Errorf("lists %v, %w", listed, err)
		}
		_, file, err := n.snapshots.Open(snapshot.ID)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		from, err := openEnvelope(file)
		if err == nil {
			err = state.Restore(from)
		}
		if err != nil {
			return nil, err
		}
	}
	for index := snapshot.Index + 1; index <= n.store.last.Load(); index++ {
		var l raft.Log
		if err := n.store.GetLog(index, &l); err != nil {
			return nil, err
		}
		if l.Type == raft.LogCommand && len(l.Data) > 0 {
			state.Apply(index, l.Data)
		}
	}
	return state.all(), nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func entriesOfTerm(from, to, term uint64) []*raft.Log {
	logs := entries(from, to)
	for _, l := range logs {
		l.Term = term
	}
	return logs
}
