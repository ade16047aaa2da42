package consensus

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// TestMemoryIsWrittenWithoutHoldingReplication: while positions are written, an
// acknowledged entry is recorded, a start that is reported meanwhile is on disk
// when it is acknowledged, and the file is never replaced by an older one.
func TestMemoryIsWrittenWithoutHoldingReplication(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	m, err := openMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	first := peerRecord{incarnation: incarnation{Start: 1, ID: "a"}, Format: 1}
	if err := m.record("x", first, nil); err != nil {
		t.Fatal(err)
	}
	began, proceed := make(chan struct{}, 2), make(chan struct{})
	m.write = func(path string, raw []byte, mode os.FileMode) error {
		began <- struct{}{}
		<-proceed
		return atomicfile.Write(path, raw, mode)
	}
	m.saved = time.Time{}
	first.Last = position{Term: 1, Index: 7}
	written := make(chan error, 1)
	go func() { written <- m.record("x", first, nil) }()
	<-began

	recorded := make(chan struct{})
	go func() {
		m.acked("x", position{Term: 1, Index: 8})
		close(recorded)
	}()
	select {
	case <-recorded:
	case <-time.After(waitTimeout):
		t.Fatal("an entry cannot be recorded while the file is written")
	}
	started := make(chan error, 1)
	go func() { started <- m.record("y", peerRecord{incarnation: incarnation{Start: 3, ID: "b"}}, nil) }()
	close(proceed)
	for _, outcome := range []chan error{written, started} {
		if err := <-outcome; err != nil {
			t.Fatal(err)
		}
	}
	reopened, err := openMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[raft.ServerID]uint64{"x": 1, "y": 3} {
		if r, _ := reopened.of(id); r.Start != want {
			t.Errorf("the file has start %d of %s, not %d", r.Start, id, want)
		}
	}
}

// TestFailedWriteOfPositionsIsRepeated: a position that could not be written is
// written with the next report.
func TestFailedWriteOfPositionsIsRepeated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	m, err := openMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	report := peerRecord{incarnation: incarnation{Start: 1, ID: "a"}, Format: 1}
	if err := m.record("x", report, nil); err != nil {
		t.Fatal(err)
	}
	m.saved = time.Time{}
	report.Last = position{Term: 2, Index: 9}
	m.write = func(string, []byte, os.FileMode) error { return os.ErrPermission }
	if err := m.record("x", report, nil); err != nil {
		t.Fatal(err)
	}
	m.write = atomicfile.Write
	if err := m.record("x", report, nil); err != nil {
		t.Fatal(err)
	}
	reopened, err := openMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := reopened.of("x"); r.Last != report.Last {
		t.Errorf("the file has position %v, not %v", r.Last, report.Last)
	}
}
