//go:build linux

package fusefs

import (
	"errors"
	"log/slog"
	"os"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// counter allocates ids without a memory file.
type counter struct {
	mu   sync.Mutex
	last uint64
}

func (c *counter) NextID() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	return c.last
}

func (c *counter) RaiseID(least uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, least)
}

// each calls f for every record in a table.
func each(t *table, f func(record)) {
	for slot := range uint32(len(t.arena.chunks)) * chunkSlots {
		if !t.arena.holds(slot) || !isHead(t.arena.slot(slot)) {
			continue
		}
		if r, err := t.arena.read(slot); err == nil {
			f(r)
		}
	}
}

// waitForScanned waits until the scan after a takeover is complete.
func waitForScanned(t *table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.scanned && !t.closed {
		t.waitForScan()
	}
}

func reopen(t testing.TB, dir string, pending map[uint64]bool, ids ids) *table {
	t.Helper()
	table, err := openTable(dir, [16]byte{1}, pending, ids, discard())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func file(path, etag string, size int64) lookup {
	return lookup{path: path, entry: reader.Entry{Version: reader.Version{Mount: "m", Key: path, ETag: etag, Size: size}, Modified: time.Unix(9, 0)}}
}

func directory(path string) lookup { return lookup{path: path, entry: reader.Entry{Dir: true}} }

// TestNodeOfAPendingRequest checks that a node created by a request without a
// reply is kept when the reply to another request contains it.
func TestNodeOfAPendingRequest(t *testing.T) {
	dir := t.TempDir()
	table := reopen(t, dir, nil, &counter{})
	f := file("/f", "one", 5)
	created := table.recordLookups(2, []lookup{f}, nil)[0]
	replied := table.recordLookups(4, []lookup{f}, nil)[0]
	table.replied(4)
	_ = table.close()
	if replied.id != created.id {
		t.Fatalf("two nodes for one version: %d and %d", created.id, replied.id)
	}
	table = reopen(t, dir, map[uint64]bool{2: true}, &counter{})
	defer func() { _ = table.close() }()
	n, ok := table.node(replied.id)
	if !ok || n.lookups != 1 || n.version != f.entry.Version {
		t.Errorf("the successor restored %+v, %v; want one lookup", n, ok)
	}
}

// tempDir returns a new temporary directory. rapid needs one for every run.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestNodeOfAName(t *testing.T) {
	table := reopen(t, t.TempDir(), nil, &counter{})
	defer func() { _ = table.close() }()
	record := func(f lookup) node { return table.recordLookups(1, []lookup{f}, nil)[0] }
	first := record(file("/f", "one", 5))
	if again := record(file("/f", "one", 5)); again.id != first.id || again.lookups != 2 {
		t.Errorf("the same version has node %d with %d lookups; want node %d with 2", again.id, again.lookups, first.id)
	}
	for name, other := range map[string]lookup{
		"another etag": file("/f", "two", 5), "another size": file("/f", "one", 6), "a directory": directory("/f"), "another path": file("/g", "one", 5),
	} {
		if n := record(other); n.id == first.id {
			t.Errorf("%s has the same node", name)
		}
	}
	if n, ok := table.node(first.id); !ok || !n.stale {
		t.Error("the node of a replaced version is not stale")
	}
	table.forget(2, []forgetEntry{{node: first.id, count: 5}, {node: rootID, count: 5}, {node: 12345, count: 1}})
	if _, ok := table.node(first.id); ok {
		t.Error("a node without lookups was not removed")
	}
	if _, ok := table.node(rootID); !ok {
		t.Error("the root was removed")
	}
}

func TestRefusedOpenIsRecorded(t *testing.T) {
	table := reopen(t, t.TempDir(), nil, &counter{})
	defer func() { _ = table.close() }()
	n := table.recordLookups(1, []lookup{file("/f", "one", 5)}, nil)[0]
	for range 2 {
		if table.refuse(n.id) {
			t.Error("a node that is not stale was refused")
		}
	}
	table.markStale(n.id)
	if table.refuse(n.id) || !table.refuse(n.id) {
		t.Error("the first refusal of a stale node must be recorded")
	}
	if again := table.recordLookups(2, []lookup{file("/f", "one", 5)}, nil)[0]; again.id == n.id {
		t.Error("a lookup returned a stale node")
	}
}

// TestOneServerAtATime checks that a second server does not open a table in use.
func TestOneServerAtATime(t *testing.T) {
	before := lockTimeout
	lockTimeout = 10 * time.Millisecond
	defer func() { lockTimeout = before }()
	dir := t.TempDir()
	for range 2 { // a new file, and one of a predecessor
		table := reopen(t, dir, nil, &counter{})
		n := table.recordLookups(2, []lookup{file("/f", "one", 1)}, nil)[0]
		if _, err := openTable(dir, [16]byte{1}, nil, &counter{}, discard()); !errors.Is(err, errLocked) {
			t.Errorf("opening a table in use returned %v, want errLocked", err)
		}
		if _, ok := table.node(n.id); !ok {
			t.Error("the table in use was changed")
		}
		if err := table.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestForgets(t *testing.T) {
	for name, c := range map[string]struct {
		opcode uint32
		body   []byte
		want   []forgetEntry
	}{
		"single":        {opcodeForget, []byte{3, 0, 0, 0, 0, 0, 0, 0}, []forgetEntry{{node: 9, count: 3}}},
		"truncated":     {opcodeForget, []byte{3, 0}, nil},
		"batch":         {opcodeBatchForget, batchOf(2, 5, 1, 6, 2), []forgetEntry{{5, 1}, {6, 2}}},
		"batch of more": {opcodeBatchForget, batchOf(9, 5, 1), []forgetEntry{{5, 1}}},
		"batch of less": {opcodeBatchForget, batchOf(1, 5, 1, 6, 2), []forgetEntry{{5, 1}}},
		"empty batch":   {opcodeBatchForget, nil, nil},
	} {
		request := append(make([]byte, inHeaderSize), c.body...)
		if got := forgets(header{opcode: c.opcode, node: 9}, request); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func batchOf(count byte, values ...byte) []byte {
	b := append([]byte{count}, make([]byte, 7)...)
	for _, v := range values {
		b = append(append(b, v), make([]byte, 7)...)
	}
	return b
}

func FuzzForgets(f *testing.F) {
	f.Add(uint32(opcodeBatchForget), batchOf(2, 5, 1, 6, 2))
	f.Add(uint32(opcodeForget), []byte{3, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, opcode uint32, body []byte) {
		request := append(make([]byte, inHeaderSize), body...)
		if got := forgets(headerOf(request), request); len(got) > 1+len(body)/16 {
			t.Errorf("decoded %d entries from %d bytes", len(got), len(body))
		}
		_ = forgets(header{opcode: opcode}, request)
	})
}
