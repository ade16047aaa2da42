package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// spoilings damage the log of a stopped member in ways that are not visible in
// what remains.
var spoilings = map[string]func(t *testing.T, h memberDir){
	"nothing":              func(*testing.T, memberDir) {},
	"the newest meta page": func(t *testing.T, h memberDir) { flipMeta(t, h.log(), true) },
	"an empty log": func(t *testing.T, h memberDir) {
		if err := os.Truncate(h.log(), 0); err != nil {
			t.Fatal(err)
		}
	},
	"the name of the term": func(t *testing.T, h memberDir) {
		raw, err := os.ReadFile(h.log())
		if err != nil {
			t.Fatal(err)
		}
		renamed := bytes.ReplaceAll(raw, keyTerm, []byte("CurreoTerm1"))
		if err := os.WriteFile(h.log(), renamed, 0o600); err != nil {
			t.Fatal(err)
		}
	},
	"the acknowledged entry": func(t *testing.T, h memberDir) {
		withoutTail(t, h, func(g *failStopDisk) { _ = g.DeleteRange(g.last.Load(), g.last.Load()) })
	},
}

// TestADamagedDiskLosesNoAcknowledgedCommand: a command is committed by the
// leader and one follower, while the other follower is cut off. The first follower
// stops, its disk is damaged, and it starts again without the leader. Then either
// no member leads, or the new leader has the command. When the old leader is back,
// all have it.
func TestADamagedDiskLosesNoAcknowledgedCommand(t *testing.T) {
	t.Parallel()
	for name, spoil := range spoilings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLinks()
			c := newCluster(t, 3, w.configure)
			c.startAll()
			leader := c.whole()
			damaged, away := (leader+1)%3, (leader+2)%3
			c.propose("first")
			c.agree("first")
			w.part(true, c.Name(leader), c.Name(away))
			w.part(true, c.Name(damaged), c.Name(away))
			c.proposeTo([]*member{c.members[leader], c.members[damaged]}, "acknowledged")
			c.kill(damaged)
			c.kill(leader)
			spoil(t, memberDir{c.DataDir(damaged)})
			w.part(false, c.Name(damaged), c.Name(away))
			w.part(false, c.Name(leader), c.Name(away))
			_, err := c.tryStart(damaged)
			var found *DamageError
			switch {
			case err == nil:
				leads := c.leader()
				if _, err := c.members[leads].node.ReadIndex(c.context()); err == nil && !slices.Contains(c.members[leads].state.all(), "acknowledged") {
					t.Fatalf("%s leads without the acknowledged command", c.Name(leads))
				}
			case errors.As(err, &found) && name != "nothing":
			default:
				t.Fatal(err)
			}
			c.start(leader)
			if err != nil {
				c.eventually("start the damaged member", func() error {
					_, err := c.tryStart(damaged)
					return err
				})
			}
			c.whole()
			c.propose("after")
			c.agree("first", "acknowledged", "after")
		})
	}
}

// TestADamagedNewestSnapshotOfAnOnlyMaster: the older snapshot and the log hold
// everything.
func TestADamagedNewestSnapshotOfAnOnlyMaster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, func(c *Config) { c.sizes = sizes{trailing: 1000, threshold: 1 << 40, interval: time.Hour} })
	m := c.start(0)
	c.whole()
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprint(i))
		c.propose(want[i])
		if i == 10 || i == 30 {
			if err := m.node.snapshot(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.kill(0)
	found, err := filepath.Glob(filepath.Join(c.DataDir(0), "member", "snapshots", "*"))
	if err != nil || len(found) != 2 {
		t.Fatalf("%d snapshots, %v", len(found), err)
	}
	state := filepath.Join(found[1], stateFile)
	raw, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(state, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	m = c.start(0)
	c.whole()
	c.propose("after")
	if got := m.state.all(); !slices.Equal(got, append(want, "after")) || m.state.restored != 1 {
		t.Fatalf("%d commands, restored %d times", len(got), m.state.restored)
	}
	if kept, err := filepath.Glob(filepath.Join(c.DataDir(0), "aside-snapshot-*")); err != nil || len(kept) != 1 {
		t.Fatalf("the damaged snapshot is not kept: %v, %v", kept, err)
	}
	// It is not counted as one of the snapshots that are kept.
	if err := m.node.snapshot(); err != nil {
		t.Fatal(err)
	}
	c.kill(0)
	c.start(0)
	c.whole()
	c.agree(append(want, "after")...)
}

// TestErrorsOfTheDiskAreNotDamage: a directory that cannot be read stays where it
// is, and the start fails with the error. Reads of /proc/self/mem fail with an
// input/output error.
func TestErrorsOfTheDiskAreNotDamage(t *testing.T) {
	if _, err := os.Stat("/proc/self/mem"); err != nil {
		t.Skip(err)
	}
	h, i := filledDir(t)
	snapshot := takeSnapshot(t, h, i, 20)
	for _, path := range []string{h.identity(), h.tail(), filepath.Join(snapshot, stateFile), filepath.Join(snapshot, metaFile), filepath.Join(snapshot, sumFile)} {
		if err := errors.Join(os.Rename(path, path+".away"), os.Symlink("/proc/self/mem", path)); err != nil {
			t.Fatal(err)
		}
		_, err := h.open("m-0", "c1")
		var found *DamageError
		if err == nil || errors.As(err, &found) {
			t.Errorf("%s: got %v", filepath.Base(path), err)
		}
		if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
			t.Fatal(err)
		}
	}
	expectIntact(t, h, i)
}

// TestDirectoriesSetAsideAreBounded checks that the oldest are removed.
func TestDirectoriesSetAsideAreBounded(t *testing.T) {
	h, _ := newDir(t)
	for i := range 6 {
		old := filepath.Join(h.dir, fmt.Sprintf("aside-m-0-%d", i))
		at := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := errors.Join(os.MkdirAll(old, 0o700), os.Chtimes(old, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.setAside("m-0-5", "the test says so"); err != nil {
		t.Fatal(err)
	}
	var kept []string
	found, err := filepath.Glob(filepath.Join(h.dir, "aside-*"))
	for _, path := range found {
		kept = append(kept, filepath.Base(path))
	}
	if err != nil || !slices.Equal(kept, []string{"aside-m-0-4", "aside-m-0-5", "aside-m-0-5-2"}) {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if why, err := os.ReadFile(filepath.Join(h.dir, "aside-m-0-5-2", "why.txt")); err != nil || !bytes.Contains(why, []byte("the test says so")) {
		t.Fatalf("%q, %v", why, err)
	}
}
