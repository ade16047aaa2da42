package consensus

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// faultyDisk fails or hangs on demand.
type faultyDisk struct {
	disk
	mu   sync.Mutex
	fail error
	hang chan struct{}
	// deleted holds the ranges of DeleteRange.
	deleted [][2]uint64
}

func (d *faultyDisk) withFaultyDisk(fail error, hang chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail, d.hang = fail, hang
}

func (d *faultyDisk) ail() error {
	d.mu.Lock()
	fail, hang := d.fail, d.hang
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return fail
}

func (d *faultyDisk) StoreLogs(logs []*raft.Log) error {
	if err := d.ail(); err != nil {
		return err
	}
	return d.disk.StoreLogs(logs)
}

func (d *faultyDisk) GetLog(index uint64, l *raft.Log) error {
	if err := d.ail(); err != nil {
		return err
	}
	return d.disk.GetLog(index, l)
}

func (d *faultyDisk) Set(key, value []byte) error {
	if err := d.ail(); err != nil {
		return err
	}
	return d.disk.Set(key, value)
}

func (d *faultyDisk) DeleteRange(from, to uint64) error {
	d.mu.Lock()
	d.deleted = append(d.deleted, [2]uint64{from, to})
	d.mu.Unlock()
	return d.disk.DeleteRange(from, to)
}

// openFaulty opens a failStopDisk over a faultyDisk in a directory.
func openFaulty(t *testing.T, path string) (*failStopDisk, *faultyDisk, chan error) {
	t.Helper()
	store, err := openDisk(path)
	if err != nil {
		t.Fatal(err)
	}
	faulty := &faultyDisk{disk: store}
	failed := make(chan error, 1)
	g := &failStopDisk{
		disk: faulty, path: path, timeout: time.Minute, appends: &durations{},
		fail: func(err error) { failed <- err },
	}
	if err := g.bounds(); err != nil {
		t.Fatal(err)
	}
	// A second Close is harmless.
	t.Cleanup(func() { _ = store.Close() })
	return g, faulty, failed
}

func entries(from, to uint64) []*raft.Log {
	var logs []*raft.Log
	for i := from; i <= to; i++ {
		logs = append(logs, &raft.Log{Index: i, Term: 1, Type: raft.LogCommand, Data: fmt.Append(nil, i)})
	}
	return logs
}

// returns reports whether f returns, instead of ending its goroutine.
func returns(f func()) bool {
	returned, ended := false, make(chan struct{})
	go func() {
		defer close(ended)
		f()
		returned = true
	}()
	<-ended
	return returned
}

func TestADiskThatFailsOrHangsStopsTheMember(t *testing.T) {
	broken := errors.New("input/output error")
	operations := map[string]func(*failStopDisk){
		"append": func(g *failStopDisk) { _ = g.StoreLogs(entries(1, 1)) },
		"read":   func(g *failStopDisk) { _ = g.GetLog(1, &raft.Log{}) },
		"vote":   func(g *failStopDisk) { _ = g.Set([]byte("LastVoteCand"), []byte("x")) },
		"term":   func(g *failStopDisk) { _ = g.SetUint64([]byte("CurrentTerm"), 1) },
	}
	for name, operation := range operations {
		t.Run(name+" fails", func(t *testing.T) {
			g, faulty, failed := openFaulty(t, filepath.Join(t.TempDir(), "log"))
			faulty.withFaultyDisk(broken, nil)
			if returns(func() { operation(g) }) {
				t.Error("the caller continues")
			}
			if err := <-failed; !errors.Is(err, broken) {
				t.Errorf("failed with %v", err)
			}
			faulty.withFaultyDisk(nil, nil)
			if returns(func() { operation(g) }) {
				t.Error("the member continues after the disk recovered")
			}
		})
		t.Run(name+" hangs", func(t *testing.T) {
			g, faulty, failed := openFaulty(t, filepath.Join(t.TempDir(), "log"))
			g.timeout = 50 * time.Millisecond
			hang := make(chan struct{})
			faulty.withFaultyDisk(nil, hang)
			returned := make(chan bool)
			go func() { returned <- returns(func() { operation(g) }) }()
			if err := <-failed; !strings.Contains(err.Error(), "did not respond") {
				t.Errorf("failed with %v", err)
			}
			close(hang)
			if <-returned {
				t.Error("the caller continues after the disk responded too late")
			}
		})
	}
}

func TestWatchdog(t *testing.T) {
	expired := make(chan struct{}, 1)
	w := startWatchdog(20*time.Millisecond, func() { expired <- struct{}{} })
	<-expired
	if w.stop() {
		t.Error("an expired watchdog reports that it was stopped in time")
	}
	w = startWatchdog(time.Hour, func() { expired <- struct{}{} })
	if !w.stop() {
		t.Error("a watchdog that was stopped in time reports that it expired")
	}
	w.tick() // a timer that fired while it was being stopped
	if len(expired) != 0 {
		t.Error("a stopped watchdog expired")
	}
	// A pause fires the timer once, however long it was.
	w = startWatchdog(time.Hour, func() { expired <- struct{}{} })
	for range watchdogSlices - 1 {
		w.tick()
	}
	if len(expired) != 0 || !w.stop() {
		t.Error("expired before its last slice")
	}
}

func TestReopenKeepsTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	g, _, _ := openFaulty(t, path)
	if err := g.StoreLogs(entries(1, 20)); err != nil {
		t.Fatal(err)
	}
	if err := g.SetUint64([]byte("CurrentTerm"), 7); err != nil {
		t.Fatal(err)
	}
	if err := g.disk.Close(); err != nil {
		t.Fatal(err)
	}
	g, _, _ = openFaulty(t, path)
	if err := g.check(0); err != nil {
		t.Fatal(err)
	}
	first, _ := g.FirstIndex()
	last, _ := g.LastIndex()
	if first != 1 || last != 20 || g.entries() != 20 || g.size() == 0 {
		t.Errorf("%d to %d, %d entries, %d bytes", first, last, g.entries(), g.size())
	}
	if term, err := g.GetUint64([]byte("CurrentTerm")); term != 7 || err != nil {
		t.Errorf("term %d, %v", term, err)
	}
	if err := g.GetLog(21, &raft.Log{}); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("missing entry: %v", err)
	}
	if _, err := g.Get([]byte("LastVoteCand")); err == nil || err.Error() != "not found" {
		t.Errorf("missing value: %v; the library compares the text", err)
	}
}

func TestTruncation(t *testing.T) {
	for _, test := range []struct {
		name        string
		from, to    uint64
		stored      [2]uint64
		want        [][2]uint64
		first, last uint64
	}{
		{"a short prefix", 1, 10, [2]uint64{1, 30}, [][2]uint64{{1, 10}}, 11, 30},
		{"a long prefix, lowest first", 1, 25_000, [2]uint64{1, 25_001}, [][2]uint64{{1, 10_000}, {10_001, 20_000}, {20_001, 25_000}}, 25_001, 25_001},
		{"a suffix in one transaction", 5, 25_000, [2]uint64{1, 25_000}, [][2]uint64{{5, 25_000}}, 1, 4},
		{"everything conflicts", 1, 25_000, [2]uint64{1, 25_000}, [][2]uint64{{1, 25_000}}, 0, 0},
		{"nothing", 5, 4, [2]uint64{1, 30}, nil, 1, 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, faulty, _ := openFaulty(t, filepath.Join(t.TempDir(), "log"))
			if err := g.StoreLogs(entries(test.stored[0], test.stored[1])); err != nil {
				t.Fatal(err)
			}
			if err := g.DeleteRange(test.from, test.to); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(faulty.deleted, test.want) {
				t.Errorf("deleted %v, want %v", faulty.deleted, test.want)
			}
			first, _ := g.FirstIndex()
			last, _ := g.LastIndex()
			if first != test.first || last != test.last {
				t.Errorf("left %d to %d, want %d to %d", first, last, test.first, test.last)
			}
		})
	}
}

// TestTruncationAcrossAGap: after a snapshot was installed, the log may have a
// gap of millions of entries.
func TestTruncationAcrossAGap(t *testing.T) {
	g, faulty, _ := openFaulty(t, filepath.Join(t.TempDir(), "log"))
	for _, span := range [][2]uint64{{1, 5}, {1_000_000_001, 1_000_000_010}} {
		if err := g.StoreLogs(entries(span[0], span[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.DeleteRange(1, 1_000_000_005); err != nil {
		t.Fatal(err)
	}
	if first, _ := g.FirstIndex(); first != 1_000_000_006 || len(faulty.deleted) > 3 {
		t.Fatalf("first is %d after %v", first, faulty.deleted)
	}
}

func TestPercentile(t *testing.T) {
	d := &durations{}
	if got := d.percentile(99); got != 0 {
		t.Errorf("of none: %s", got)
	}
	for i := range 3 * durationsKept {
		d.add(time.Duration(i))
	}
	if got := d.percentile(100); got != 3*durationsKept-1 {
		t.Errorf("maximum: %d", got)
	}
	if got := d.percentile(50); got != 2*durationsKept+durationsKept/2-1 {
		t.Errorf("median: %d", got)
	}
}
