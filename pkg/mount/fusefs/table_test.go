//go:build linux

package fusefs

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

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

// dump returns everything in a table that a successor must restore.
func dump(t *table) string {
	var lines []string
	for id, n := range t.nodes {
		lines = append(lines, fmt.Sprintf("node %d %+v newest %v", id, *n, t.names[n.path] == n))
	}
	for id, h := range t.handles {
		lines = append(lines, fmt.Sprintf("handle %d %d %s %v %+v %v %q", id, h.node, h.path, h.dir, h.version, h.direct, h.sent))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
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

// TestSuccessorRestoresTheTable makes random requests, then some without a reply,
// and compares the restored table with one that never received those.
func TestSuccessorRestoresTheTable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := tempDir(t)
		killed, want := reopen(t, dir, nil, &counter{}), reopen(t, tempDir(t), nil, &counter{})
		unique := uint64(0)
		for range rapid.IntRange(1, 40).Draw(rt, "replied") {
			unique += 2
			change := drawChange(rt, want)
			for _, table := range []*table{killed, want} {
				change(table, unique)
				table.replied(unique)
			}
			if rapid.IntRange(0, 9).Draw(rt, "compact") == 0 {
				killed.mu.Lock()
				killed.compact()
				killed.mu.Unlock()
			}
		}
		pending := map[uint64]bool{}
		for range rapid.IntRange(0, 3).Draw(rt, "pending") {
			unique += 2
			pending[unique] = true
			drawChange(rt, killed)(killed, unique)
		}
		_ = killed.close()
		got := reopen(t, dir, pending, &counter{})
		if dump(got) != dump(want) {
			rt.Fatalf("the successor restored\n%s\nwant\n%s", dump(got), dump(want))
		}
		_, _ = got.close(), want.close()
	})
}

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

// drawChange draws a request that is valid for a table.
func drawChange(t *rapid.T, now *table) func(*table, uint64) {
	var nodes, handles []uint64
	for id := range now.nodes {
		nodes = append(nodes, id)
	}
	for id := range now.handles {
		handles = append(handles, id)
	}
	slices.Sort(nodes)
	slices.Sort(handles)
	kinds := []string{"lookup", "lookup", "forget", "open"}
	if len(handles) > 0 {
		kinds = append(kinds, "release", "cursor")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "request") {
	case "lookup":
		var names []lookup
		for i := range rapid.IntRange(1, 3).Draw(t, "names") {
			etag := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "etag")
			path := fmt.Sprintf("/%d-%d", i, rapid.IntRange(0, 3).Draw(t, "path"))
			names = append(names, file(path, etag, 5))
		}
		return func(t *table, unique uint64) { t.recordLookups(unique, names, nil) }
	case "forget":
		list := []forgetEntry{{node: rapid.SampledFrom(nodes).Draw(t, "node"), count: rapid.Uint64Range(1, 3).Draw(t, "count")}}
		return func(t *table, unique uint64) { t.forget(unique, list) }
	case "open":
		n := *now.nodes[rapid.SampledFrom(nodes).Draw(t, "node")]
		return func(t *table, unique uint64) { t.openHandle(unique, n, n.version, n.stale) }
	case "release":
		h := rapid.SampledFrom(handles).Draw(t, "handle")
		return func(t *table, unique uint64) { t.release(unique, h) }
	default:
		c := op{kind: opCursor, handle: rapid.SampledFrom(handles).Draw(t, "handle"), names: []string{"a", "b"}}
		return func(t *table, unique uint64) { t.recordCursor(unique, c) }
	}
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

func TestOpenIsRefusedOnce(t *testing.T) {
	table := reopen(t, t.TempDir(), nil, &counter{})
	defer func() { _ = table.close() }()
	n := table.recordLookups(1, []lookup{file("/f", "one", 5)}, nil)[0]
	if table.refuseOnce(n.id) {
		t.Error("a node that is not stale was refused")
	}
	table.markStale(n.id)
	if !table.refuseOnce(n.id) || table.refuseOnce(n.id) {
		t.Error("a stale node must be refused once")
	}
	if again := table.recordLookups(2, []lookup{file("/f", "one", 5)}, nil)[0]; again.id == n.id {
		t.Error("a lookup returned a stale node")
	}
}

func TestCompactionWaitsForReplies(t *testing.T) {
	dir := t.TempDir()
	table := reopen(t, dir, nil, &counter{})
	table.compactAt = 200
	table.recordLookups(2, []lookup{file("/pending", "one", 1)}, nil)
	for i := range 10 {
		unique := uint64(4 + 2*i)
		if i == 5 {
			break
		}
		table.recordLookups(unique, []lookup{file(fmt.Sprintf("/%d", i), "one", 1)}, nil)
		table.replied(unique)
		if table.draining {
			break
		}
	}
	if !table.draining {
		t.Fatal("the journal did not reach compactAt")
	}
	later := make(chan struct{})
	go func() {
		defer close(later)
		table.recordLookups(100, []lookup{file("/later", "one", 1)}, nil)
		table.replied(100)
	}()
	time.Sleep(10 * time.Millisecond)
	if _, err := os.Stat(table.journal.path); err != nil {
		t.Fatal(err)
	}
	// A compaction at this point would make the pending request permanent.
	if got := dump(reopenCopy(t, table, map[uint64]bool{2: true})); strings.Contains(got, "/pending") {
		t.Error("the successor restored a request without a reply")
	}
	table.replied(2)
	<-later
	if got := dump(reopenCopy(t, table, nil)); got != dump(table) {
		t.Errorf("after the compaction the successor restored\n%s\nwant\n%s", got, dump(table))
	}
	_ = table.close()
}

// reopenCopy returns the table that a successor would restore now.
func reopenCopy(t *testing.T, from *table, pending map[uint64]bool) *table {
	t.Helper()
	raw, err := os.ReadFile(from.journal.path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/"+journalName, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	table := reopen(t, dir, pending, &counter{})
	_ = table.close()
	return table
}

func TestUnwritableJournal(t *testing.T) {
	table := reopen(t, t.TempDir(), nil, &counter{})
	_ = table.journal.file.Close() // every write fails from now on
	n := table.recordLookups(2, []lookup{file("/f", "one", 1)}, nil)[0]
	table.replied(2)
	if _, ok := table.node(n.id); !ok || table.broken == nil {
		t.Fatal("lookups must succeed without a journal, and the error must be recorded")
	}
	table.mu.Lock()
	table.retryAt = time.Time{}
	table.mu.Unlock()
	table.replied(4)
	if table.broken != nil {
		t.Fatalf("the journal is still broken: %v", table.broken)
	}
	if got := dump(reopenCopy(t, table, nil)); got != dump(table) {
		t.Error("the journal does not contain the changes made while it could not be written")
	}
	_ = table.close()
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
