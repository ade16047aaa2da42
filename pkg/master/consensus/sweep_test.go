package consensus

import (
	"bytes"
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
	"go.etcd.io/bbolt"
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

// damager damages a member's directory. It returns a description of what it did.
type damager struct {
	r *rand.Rand
	h memberDir
	// pages maps the type of the pages of the log to their numbers.
	pages map[string][]int
}

// newDamager returns a damager of the directory of a member that does not run.
func newDamager(t *testing.T, r *rand.Rand, h memberDir) *damager {
	t.Helper()
	d := &damager{r: r, h: h, pages: map[string][]int{}}
	db, err := bbolt.Open(h.log(), 0o600, &bbolt.Options{NoFreelistSync: true, ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for i := 0; ; i++ {
			page, err := tx.Page(i)
			if err != nil || page == nil {
				return err
			}
			d.pages[page.Type] = append(d.pages[page.Type], i)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *damager) damage(class string) (string, error) {
	size := os.Getpagesize()
	switch class {
	case "meta page":
		page := d.r.IntN(2)
		if d.r.IntN(4) == 0 {
			return d.zero(d.h.log(), page*size, size)
		}
		return d.flip(d.h.log(), page*size, 80)
	case "branch page", "leaf page", "free page":
		pages := d.pages[strings.TrimSuffix(class, " page")]
		if len(pages) == 0 {
			return "no such page", nil
		}
		page := pages[d.r.IntN(len(pages))]
		switch d.r.IntN(6) {
		case 0:
			return d.zero(d.h.log(), page*size, size)
		case 1:
			return d.zero(d.h.log(), page*size+512*d.r.IntN(size/512), 512)
		case 2:
			// Headers and elements.
			return d.flip(d.h.log(), page*size, 64)
		}
		return d.flip(d.h.log(), page*size, size)
	case "stable key":
		return d.stableKey()
	case "log truncated":
		info, err := os.Stat(d.h.log())
		if err != nil {
			return "", err
		}
		return d.truncate(d.h.log(), int64(size)*d.r.Int64N(info.Size()/int64(size)))
	case "log lost":
		if d.r.IntN(2) == 0 {
			return d.truncate(d.h.log(), 0)
		}
		return "removed", os.Remove(d.h.log())
	case "identity":
		return d.file(d.h.identity())
	case "tail record":
		if d.r.IntN(3) == 0 {
			return d.zero(d.h.tail(), d.r.IntN(2)*tailSlot, tailSlot)
		}
		if d.r.IntN(3) == 0 {
			return d.flip(d.h.tail(), d.r.IntN(2)*tailSlot, 256)
		}
		return d.file(d.h.tail())
	}
	return d.snapshot(class)
}

// snapshot damages one of the snapshots, the newest in most cases.
func (d *damager) snapshot(class string) (string, error) {
	all, err := filepath.Glob(filepath.Join(d.h.snapshots(), "snapshots", "*-*"))
	if err != nil || len(all) == 0 {
		return "no snapshot", err
	}
	dir := all[len(all)-1-min(d.r.IntN(4)/3, len(all)-1)]
	switch class {
	case "snapshot state":
		return d.file(filepath.Join(dir, stateFile))
	case "snapshot metadata":
		return d.file(filepath.Join(dir, []string{metaFile, metaFile, sumFile}[d.r.IntN(3)]))
	}
	switch d.r.IntN(4) {
	case 0:
		return "removed " + filepath.Base(dir), os.RemoveAll(dir)
	case 1:
		return "renamed " + filepath.Base(dir), os.Rename(dir, dir+"9")
	case 2:
		return "copied " + filepath.Base(dir), os.CopyFS(filepath.Join(filepath.Dir(dir), "9"+filepath.Base(dir)), os.DirFS(dir))
	}
	odd := filepath.Join(filepath.Dir(dir), []string{"lost+found", "1-2-3", "-", "9-9-x"}[d.r.IntN(4)])
	return "added " + filepath.Base(odd), os.MkdirAll(odd, 0o700)
}

// file damages a small file.
func (d *damager) file(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	switch d.r.IntN(10) {
	case 0:
		return "removed " + filepath.Base(path), os.Remove(path)
	case 1:
		return d.truncate(path, d.r.Int64N(max(info.Size(), 1)))
	case 2:
		return d.truncate(path, 0)
	case 3:
		at := d.r.IntN(max(int(info.Size()), 1))
		return d.zero(path, at, min(512, int(info.Size())-at))
	}
	return d.flip(path, 0, int(info.Size()))
}

func (d *damager) stableKey() (string, error) {
	raw, err := os.ReadFile(d.h.log())
	if err != nil {
		return "", err
	}
	key := [][]byte{keyTerm, keyVoteTerm, keyCandidate}[d.r.IntN(3)]
	var found []int
	for at := 0; ; at++ {
		i := bytes.Index(raw[at:], key)
		if i < 0 {
			break
		}
		at += i
		found = append(found, at)
	}
	if len(found) == 0 {
		return "no such key", nil
	}
	return d.flip(d.h.log(), found[d.r.IntN(len(found))], len(key)+12)
}

func (d *damager) flip(path string, from, length int) (string, error) {
	return d.change(path, from, length, func(p []byte) string {
		at, bit := d.r.IntN(len(p)), d.r.IntN(8)
		p[at] ^= 1 << bit
		return fmt.Sprintf("bit %d of byte %d of %s", bit, from+at, filepath.Base(path))
	})
}

func (d *damager) zero(path string, from, length int) (string, error) {
	return d.change(path, from, length, func(p []byte) string {
		clear(p)
		return fmt.Sprintf("%d bytes from %d of %s are zero", len(p), from, filepath.Base(path))
	})
}

func (d *damager) change(path string, from, length int, change func([]byte) string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil || from >= len(raw) {
		return "nothing", err
	}
	what := change(raw[from:min(from+length, len(raw))])
	return what, os.WriteFile(path, raw, 0o600)
}

func (d *damager) truncate(path string, size int64) (string, error) {
	return fmt.Sprintf("%s truncated to %d bytes", filepath.Base(path), size), os.Truncate(path, size)
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
