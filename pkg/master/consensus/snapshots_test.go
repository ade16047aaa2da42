package consensus

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// stuckSink hangs, or fails, on Write.
type stuckSink struct {
	raft.SnapshotSink
	hang chan struct{}
	fail error
}

func (s stuckSink) Write(p []byte) (int, error) {
	if s.hang != nil {
		<-s.hang
	}
	return len(p), s.fail
}

func TestWritingASnapshotToAFaultyDisk(t *testing.T) {
	g, _, failed := openFaulty(t, filepath.Join(t.TempDir(), "log"))
	s := &snapshots{watch: g.watch, taken: func(raft.SnapshotMeta) error { return nil }}
	full := errors.New("no space left on device")
	if _, err := (&snapshotSink{SnapshotSink: stuckSink{fail: full}, store: s}).Write([]byte("x")); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
	if len(failed) != 0 {
		t.Error("a full disk stopped the member, whose log is intact")
	}
	g.timeout = 50 * time.Millisecond
	hang := make(chan struct{})
	returned := make(chan bool)
	go func() {
		returned <- returns(func() {
			_, _ = (&snapshotSink{SnapshotSink: stuckSink{hang: hang}, store: s}).Write([]byte("x"))
		})
	}()
	if err := <-failed; !strings.Contains(err.Error(), "snapshot") {
		t.Errorf("failed with %v", err)
	}
	close(hang)
	if <-returned {
		t.Error("the caller continues")
	}
}

// TestADamagedSnapshotIsFoundAtTheStart damages a snapshot's data, and the
// metadata that the library keeps beside it.
func TestADamagedSnapshotIsFoundAtTheStart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, small)
	m := c.start(0)
	c.whole()
	for range 20 {
		c.propose("x")
	}
	if err := m.node.snapshot(); err != nil {
		t.Fatal(err)
	}
	index := m.node.Status().GetLastSnapshotIndex()
	c.stop(0)
	found, err := filepath.Glob(filepath.Join(c.DataDir(0), "member", "snapshots", "*"))
	if err != nil || len(found) != 1 || index == 0 {
		t.Fatalf("%d snapshots, the last at %d, %v", len(found), index, err)
	}
	for name, change := range map[string]func(string) string{
		"state.bin": func(s string) string { return strings.Replace(s, "x", "y", 1) },
		"meta.json": func(s string) string { return strings.Replace(s, `"Index":`, `"Index":1`, 1) },
	} {
		path := filepath.Join(found[0], name)
		sound, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spoiled := change(string(sound))
		if spoiled == string(sound) {
			t.Fatalf("%s was not changed: %s", name, sound)
		}
		if err := os.WriteFile(path, []byte(spoiled), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.tryStart(0); err == nil || !strings.Contains(err.Error(), "snapshot") {
			t.Fatalf("%s is damaged, and Open returned %v", name, err)
		}
		if err := os.WriteFile(path, sound, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m = c.start(0)
	c.whole()
	c.propose("y")
	if got := len(m.state.all()); got != 21 || m.state.restored == 0 {
		t.Fatalf("%d commands, restored %d times", got, m.state.restored)
	}
}

// unsealable is a snapshot whose checksum cannot be written.
type unsealable struct {
	raft.SnapshotSink
	dir string
}

func (s unsealable) Close() error {
	return errors.Join(s.SnapshotSink.Close(), os.MkdirAll(filepath.Join(s.dir, s.ID(), sumFile, "in the way"), 0o700))
}

// TestAnUnfinishedSnapshotReplacesNone: the disk becomes full when a snapshot is
// nearly complete, repeatedly. The last complete one, which the log continues,
// remains.
func TestAnUnfinishedSnapshotReplacesNone(t *testing.T) {
	dir := t.TempDir()
	g, _, _ := openFaulty(t, filepath.Join(dir, "log"))
	s, err := openSnapshots(dir, g, newRaftLogger(quiet()))
	if err != nil {
		t.Fatal(err)
	}
	for index := uint64(10); index <= 50; index += 10 {
		created, err := s.Create(raft.SnapshotVersionMax, index, 1, raft.Configuration{}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		sink := created.(*snapshotSink)
		if index > 10 {
			sink.SnapshotSink = unsealable{sink.SnapshotSink, s.dir}
		}
		if err := writeEnvelope(sink, envelopeHeader{index: index}, journalSnapshot{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := sink.Close(); (err == nil) != (index == 10) {
				t.Fatalf("the snapshot at %d: %v", index, err)
			}
		}
	}
	found, err := proveSnapshots(s.dir, identityFormat)
	if err != nil || found.newest().Index != 10 || len(found.spoiled)+len(found.temporary) != 0 {
		t.Fatalf("the newest intact snapshot is at %d, %v; damaged: %v, unfinished: %v", found.newest().Index, err, found.spoiled, found.temporary)
	}
	if listed, err := s.List(); err != nil || len(listed) != 1 {
		t.Errorf("the library has %v, %v", listed, err)
	}
	// The space for the next one is kept free, also before a restart.
	if size := found.newest().Size; s.meta().Size != size || size == 0 {
		t.Errorf("the snapshot has %d bytes, and %d are expected for the next", size, s.meta().Size)
	}
}
