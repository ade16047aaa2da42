//go:build linux

package fusefs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// damagedSystem returns a table with nodes, handles, cursors and a request in
// progress, and its file.
func damagedSystem(t *testing.T) (*system, []byte) {
	t.Helper()
	s := newSystem(t)
	do := func(f step) {
		t.Helper()
		if err := s.do(f, -1, -1); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		do(lookupStep([]lookup{file(fmt.Sprintf("/dir/%03d-%s", i, strings.Repeat("n", i)), "0123456789abcdef", int64(i)), directory(fmt.Sprintf("/d%d", i))}, 0, nil))
	}
	for i, id := range slices.Sorted(maps.Keys(s.model.nodes)) {
		switch {
		case i%4 == 0:
			do(openStep(s.model.nodes[id], map[bool]opening{true: openDirect}[i%8 == 0], uint32(i%2)*uint32(i)))
		case i%7 == 0:
			do(forgetStep([]forgetEntry{{node: id, count: 1}}))
		}
	}
	for id := range s.model.handles {
		do(lookupStep(nil, id, []string{"a", "b"}))
		break
	}
	// A change in progress has an undo log.
	s.table.killAfter(3000)
	var names []lookup
	for i := range 50 {
		names = append(names, file(fmt.Sprintf("/in progress/%d", i), "one", 1))
	}
	if survives(func() { s.table.recordLookups(1e6, names, nil) }) {
		t.Fatal("the change in progress was not killed")
	}
	s.close()
	raw, err := os.ReadFile(filepath.Join(s.dir, tableName))
	if err != nil {
		t.Fatal(err)
	}
	return s, raw
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// checkDamaged takes over a damaged file. What the successor returns must be true;
// what it does not return must be reported.
func (s *system) checkDamaged(t *testing.T, what string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, tableName), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	table, err := openTable(s.dir, [16]byte{1}, map[uint64]bool{1e6: true}, s.source, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer func() { _ = table.close() }()
	lost := 0
	// Some requests come before the scan is complete.
	for range 2 {
		lost = s.lostOf(t, what, table)
		waitForScanned(table)
	}
	if lost > 0 && !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%s: %d nodes and handles are lost, which is not reported:\n%s", what, lost, log.String())
	}
	// The table works, with ids that were never used.
	names := []lookup{file("/dir/000-", "0123456789abcdef", 0), file("/after", "one", 1), directory("/d5")}
	for i, n := range table.recordLookups(1e6+2, names, nil) {
		if known, ok := s.model.nodes[n.id]; n.path != names[i].path || n.version != names[i].entry.Version || ok && known.path != n.path {
			t.Errorf("%s: a lookup of %s returned %+v", what, names[i].path, n)
		}
		table.forget(1e6+4+uint64(2*i), []forgetEntry{{node: n.id, count: 1}})
	}
	table.replied(1e6 + 2)
}

// lostOf returns the number of nodes and handles that are lost. The others must be
// as they were.
func (s *system) lostOf(t *testing.T, what string, table *table) (lost int) {
	t.Helper()
	for id, want := range s.model.nodes {
		switch n, ok := table.node(id); {
		case !ok:
			lost++
		case n.path != want.path || n.version != want.version || n.dir != want.dir || n.lookups != want.lookups:
			t.Errorf("%s: node %d is %+v, want %+v", what, id, n, want)
		}
	}
	for id, want := range s.model.handles {
		switch h, ok := table.handle(id); {
		case !ok:
			lost++
		case h.node != want.node || h.version != want.version || h.dir != want.dir:
			t.Errorf("%s: handle %d is %+v, want %+v", what, id, h, want)
		}
	}
	return lost
}

// TestDamagedTable flips bits, zeroes pages and truncates the file.
func TestDamagedTable(t *testing.T) {
	s, raw := damagedSystem(t)
	// Only these bytes are in use.
	used := bytes.LastIndexFunc(raw, func(r rune) bool { return r != 0 }) + 1
	random := rand.New(rand.NewPCG(1, 2))
	trials := 400
	if os.Getenv("JINDO_LONG") != "" {
		trials = 20_000
	}
	flip := func(b []byte, at int) { b[at] ^= 1 << random.IntN(8) }
	inUse := func() int {
		for {
			if at := random.IntN(used); at < undoAt+1024 || at >= prologueSize && raw[at] != 0 {
				return at
			}
		}
	}
	for i := range trials {
		b := slices.Clone(raw)
		at := inUse()
		what := fmt.Sprintf("bit at %d", at)
		flip(b, at)
		for range i % 3 {
			at := inUse()
			flip(b, at)
			what += fmt.Sprintf(" and at %d", at)
		}
		s.checkDamaged(t, what, b)
	}
	for at := 0; at < used; at += 4096 {
		if len(bytes.Trim(raw[at:min(at+4096, used)], "\x00")) > 0 {
			b := slices.Clone(raw)
			clear(b[at : at+4096])
			s.checkDamaged(t, fmt.Sprintf("zeroed page at %d", at), b)
		}
	}
	for _, size := range []int{0, 1, 100, 4096, 8192, prologueSize - 1, prologueSize, prologueSize + 100, used / 2, used - 1, len(raw) - 1} {
		s.checkDamaged(t, fmt.Sprintf("truncated to %d bytes", size), raw[:size])
	}
}

// TestDamagedHeaderIsKept checks that a file that cannot be used is set aside.
func TestDamagedHeaderIsKept(t *testing.T) {
	s, raw := damagedSystem(t)
	clear(raw[:8192])
	s.checkDamaged(t, "both headers", raw)
	if kept, err := os.ReadFile(filepath.Join(s.dir, damagedName)); err != nil || !bytes.Equal(kept, raw) {
		t.Errorf("the damaged file was not kept: %d bytes, error %v", len(kept), err)
	}
}

// TestFullDisk looks up more nodes than fit on the disk. The server continues
// without the file, and writes it when there is space.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not run: need root to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("jindo-test", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skip("no tmpfs here:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := &system{dir: dir, source: &counter{}, model: newModel()}
	s.table = reopen(t, dir, nil, s.source)
	defer func() { s.close() }()
	fillUp := func(from, n int) {
		t.Helper()
		for i := from; i < from+n; i++ {
			if err := s.do(lookupStep([]lookup{file(fmt.Sprintf("/dir/%06d", i), "0123456789abcdef", 1)}, 0, nil), -1, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	fillUp(0, 20_000)
	if s.table.broken == nil {
		t.Fatal("20,000 nodes fit into 3 MiB")
	}
	// A server that is killed now loses the nodes that are not in the file.
	raw, err := os.ReadFile(filepath.Join(dir, tableName))
	if err != nil {
		t.Fatal(err)
	}
	copied := &system{dir: t.TempDir(), source: s.source, model: s.model}
	copied.checkDamaged(t, "a table of which a part is in memory", raw)

	if err := syscall.Mount("jindo-test", dir, "tmpfs", syscall.MS_REMOUNT, "size=30m"); err != nil {
		t.Fatal(err)
	}
	s.table.mu.Lock()
	s.table.retryAt = time.Time{}
	s.table.mu.Unlock()
	s.table.replied(1)
	if s.table.broken != nil {
		t.Fatalf("the table is still not in the file: %v", s.table.broken)
	}
	fillUp(20_000, 1000)
	if err := s.replace(nil, -1); err != nil {
		t.Fatal(err)
	}
	if err := s.model.check(s.table); err != nil {
		t.Error(err)
	}
}

// TestChurnDoesNotGrow looks up and forgets many more nodes than are known at a
// time.
func TestChurnDoesNotGrow(t *testing.T) {
	dir := t.TempDir()
	table := reopen(t, dir, nil, &counter{})
	defer func() { _ = table.close() }()
	const known = 20_000
	rounds := 20
	if os.Getenv("JINDO_LONG") != "" {
		rounds = 500 // 10M nodes
	}
	var sizes []int64
	unique := uint64(0)
	for round := range rounds {
		var list []forgetEntry
		for i := 0; i < known; i += 100 {
			var names []lookup
			for j := range 100 {
				names = append(names, file(fmt.Sprintf("/dir-%d/%s%d", round, strings.Repeat("x", (i+j)%100), i+j), "0123456789abcdef", 1))
			}
			unique += 2
			for _, n := range table.recordLookups(unique, names, nil) {
				list = append(list, forgetEntry{node: n.id, count: 1})
			}
			table.replied(unique)
		}
		unique += 2
		table.forget(unique, list)
		table.replied(unique)
		_, _, size := table.sizes()
		sizes = append(sizes, size)
	}
	if nodes, _, _ := table.sizes(); nodes != 1 {
		t.Errorf("%d nodes remain, want the root", nodes)
	}
	if last := sizes[len(sizes)-1]; last > sizes[0]*5/4 {
		t.Errorf("the file has grown from %d to %d bytes", sizes[0], last)
	}
	// The space of forgotten nodes is given back.
	var stat syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, tableName), &stat); err != nil {
		t.Fatal(err)
	}
	if allocated := stat.Blocks * 512; allocated > sizes[0]/2 {
		t.Errorf("an empty table occupies %d bytes; with %d nodes its file had %d", allocated, known, sizes[0])
	}
}

// TestLongStrings records names, keys and tags that need many slots.
func TestLongStrings(t *testing.T) {
	s := newSystem(t)
	defer func() { s.close() }()
	for _, n := range []int{255, 4096, 100_000, 5 << 20} {
		f := file("/"+strings.Repeat("\xff", n), strings.Repeat("a", n), 1)
		f.entry.Version.Key = strings.Repeat("k", n)
		if n < 5<<20 {
			if err := s.do(lookupStep([]lookup{f}, 0, nil), -1, -1); err != nil {
				t.Fatal(err)
			}
			continue
		}
		// No store returns such a tag. It must not harm others.
		s.unique += 2
		s.table.recordLookups(s.unique, []lookup{f}, nil)
		s.table.replied(s.unique)
	}
	for id, want := range s.model.nodes {
		if n, ok := s.table.node(id); !ok || n.version != want.version || n.path != want.path {
			t.Errorf("node %d differs from what was recorded", id)
		}
	}
}

func TestPackedStrings(t *testing.T) {
	for _, s := range []string{"", "a", "ab", "0123456789abcdef", "0123456789ABCDEF", "aB", "0g", "\xff\x00", "\"ab\"", "0123"} {
		d := decoder{b: append(appendPacked(nil, s), "rest"...)}
		if got := d.packed(); got != s || d.err != nil || string(d.b) != "rest" {
			t.Errorf("%q was decoded as %q, rest %q, error %v", s, got, d.b, d.err)
		}
	}
	for _, c := range []struct{ path, key string }{{"/a/b", "a/b"}, {"/a/b", "prefix/a/b"}, {"/a", ""}, {"/a", "b"}, {"/a", "/a"}, {"/a", "x/a"}} {
		v := reader.Version{Mount: "m", Key: c.key, ETag: "e", Size: -1}
		d := decoder{b: appendVersioned(nil, c.path, false, v)}
		if path, got := d.versioned(false); path != c.path || got != v || d.err != nil {
			t.Errorf("%+v was decoded as %q, %+v, error %v", c, path, got, d.err)
		}
	}
}

// FuzzTable opens files with arbitrary contents after a valid header.
func FuzzTable(f *testing.F) {
	f.Add([]byte{}, []byte{}, []byte{})
	f.Add(bytes.Repeat([]byte{1}, 200), bytes.Repeat([]byte{0xff}, 300), bytes.Repeat([]byte{2}, 64))
	f.Fuzz(func(t *testing.T, rootAndUndo, buckets, slots []byte) {
		dir := t.TempDir()
		raw := make([]byte, prologueSize+chunkSize)
		copy(raw, fileHeader{version: tableVersion, session: [16]byte{1}, created: time.Unix(0, 1)}.encode())
		copy(raw[undoLengthAt:prologueSize], rootAndUndo)
		copy(raw[prologueSize:], buckets)
		copy(raw[prologueSize+bucketSlots*slotSize:], slots)
		if err := os.WriteFile(filepath.Join(dir, tableName), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		table, err := openTable(dir, [16]byte{1}, map[uint64]bool{0: true, 2: true}, &counter{}, discard())
		if errors.Is(err, errNewer) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = table.close() }()
		n := table.recordLookups(2, []lookup{file("/f", "one", 1)}, nil)[0]
		table.replied(2)
		waitForScanned(table)
		if again, ok := table.node(n.id); !ok || again.version != n.version {
			t.Errorf("a node of this server is %+v, %v", again, ok)
		}
	})
}
