//go:build linux

package fusefs

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// killed is the panic that stands for SIGKILL.
type killed struct{}

// killAfter stops the table, as SIGKILL does, when it has stored a number of bytes
// more in its file: in the middle of a store, or after it. It does not stop a table
// that stores less.
func (t *table) killAfter(bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arena.onStore = func(to, from []byte) {
		if bytes <= len(from) {
			copy(to, from[:bytes])
			bytes = 0
			panic(killed{})
		}
		bytes -= copy(to, from)
	}
}

// survives runs f and reports whether it was not killed.
func survives(f func()) (alive bool) {
	defer func() {
		if cause := recover(); cause != nil {
			if _, ok := cause.(killed); !ok {
				panic(cause)
			}
		}
	}()
	f()
	return true
}

// system is a server that is killed and replaced at any time.
type system struct {
	dir    string
	source *counter
	table  *table
	model  *model
	unique uint64
	// kills is the number of kills.
	kills int
	// noReply kills the next server after it has processed a request and before
	// it replies.
	noReply bool
	// log holds what the servers logged.
	log bytes.Buffer
}

func newSystem(t testing.TB) *system {
	s := &system{dir: tempDir(t), source: &counter{}, model: newModel()}
	s.table = reopen(t, s.dir, nil, s.source)
	s.table.recordModes()
	return s
}

func (s *system) close() { _ = s.table.close() }

// do makes a request. budget is the number of bytes after which the server is
// killed, and takeover that of its successor; negative is never. The request is
// processed again by the successor, until one replies.
func (s *system) do(f step, budget, takeover int) error {
	s.unique += 2
	if budget >= 0 {
		// The scan stores in another goroutine. killedTakeover kills scans.
		waitForScanned(s.table)
		s.table.killAfter(budget)
	}
	var reply func(*model) error
	if !survives(func() { reply = f(s.table, s.unique) }) || s.noReply {
		s.noReply = false
		if err := s.replace(map[uint64]bool{s.unique: true}, takeover); err != nil {
			return err
		}
		reply = f(s.table, s.unique)
	}
	if err := reply(s.model); err != nil {
		return err
	}
	if !survives(func() { s.table.replied(s.unique) }) {
		if err := s.replace(nil, takeover); err != nil {
			return err
		}
	}
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	s.table.arena.onStore = nil
	return nil
}

// replace kills the server and starts a successor, which is killed too if takeover
// is not negative.
func (s *system) replace(pending map[uint64]bool, takeover int) error {
	s.kills++
	s.close()
	if takeover >= 0 {
		if err := s.killedTakeover(pending, takeover); err != nil {
			return err
		}
	}
	if strings.Contains(s.log.String(), "level=ERROR") {
		return fmt.Errorf("a takeover took the table for damaged: %s", s.log.String())
	}
	s.log.Reset()
	var err error
	if s.table, err = openTable(s.dir, [16]byte{1}, pending, s.source, slog.New(slog.NewTextHandler(&s.log, nil))); err != nil {
		return err
	}
	s.table.recordModes()
	return nil
}

// killedTakeover makes the stores of a takeover until it is killed.
func (s *system) killedTakeover(pending map[uint64]bool, budget int) error {
	t, err := takeTable(filepath.Join(s.dir, tableName), [16]byte{1}, s.source, discard())
	if err != nil || t == nil {
		return fmt.Errorf("take over: table %v, error %w", t, err)
	}
	t.killAfter(budget)
	for range t.arena.chunks {
		t.space.addChunk(true)
	}
	t.startScan()
	_ = survives(func() {
		for unique := range pending {
			t.undoRequest(unique)
		}
		for slot := range t.scanning.end {
			t.scanSlot(slot)
		}
	})
	return t.close()
}

func drawNames(t *rapid.T) []lookup {
	var names []lookup
	for range rapid.IntRange(1, 4).Draw(t, "names") {
		// Names are arbitrary bytes, and some need many slots.
		name := "/dir/" + rapid.SampledFrom([]string{"a", "b", "\xff\xfe", strings.Repeat("long", 60), "c\n", "d"}).Draw(t, "path")
		if rapid.IntRange(0, 5).Draw(t, "dir") == 0 {
			names = append(names, directory(name))
			continue
		}
		etag := rapid.SampledFrom([]string{"one", "0123456789abcdef0123456789abcdef", "\"W/ABCDEF\"", "ABCDEF01"}).Draw(t, "etag")
		names = append(names, file(name, etag, 5))
	}
	return names
}

func (s *system) draw(t *rapid.T) step {
	handles := slices.Sorted(maps.Keys(s.model.handles))
	var nodes []uint64
	for _, id := range slices.Sorted(maps.Keys(s.model.nodes)) {
		if s.model.nodes[id].lookups > 0 {
			nodes = append(nodes, id)
		}
	}
	kinds := []string{"lookup", "lookup"}
	if len(nodes) > 0 {
		kinds = append(kinds, "forget", "open", "stale")
	}
	if len(handles) > 0 {
		kinds = append(kinds, "release", "cursor")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "request") {
	case "forget":
		var list []forgetEntry
		for range rapid.IntRange(1, 3).Draw(t, "entries") {
			list = append(list, forgetEntry{node: rapid.SampledFrom(nodes).Draw(t, "node"), count: rapid.Uint64Range(1, 3).Draw(t, "count")})
		}
		return forgetStep(list)
	case "open":
		backing := rapid.SampledFrom([]uint32{0, uint32(s.unique) + 1}).Draw(t, "backing")
		return openStep(s.model.nodes[rapid.SampledFrom(nodes).Draw(t, "node")], rapid.SampledFrom([]opening{openInMode, openUnaligned, openDirect}).Draw(t, "how"), backing)
	case "stale":
		return staleStep(rapid.SampledFrom(nodes).Draw(t, "node"))
	case "release":
		return releaseStep(rapid.SampledFrom(handles).Draw(t, "handle"))
	case "cursor":
		h := rapid.SampledFrom(handles).Draw(t, "handle")
		return lookupStep(drawNames(t), h, rapid.SliceOfN(rapid.String(), 1, 9).Draw(t, "sent"))
	default:
		return lookupStep(drawNames(t), 0, nil)
	}
}

// TestKilledAnywhere makes random requests of servers that are killed after a
// random number of stored bytes, also during the takeover. Every reply must remain
// true, and every request must take effect once.
func TestKilledAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newSystem(t)
		defer s.close()
		budget := rapid.OneOf(rapid.Just(-1), rapid.IntRange(0, 2500))
		for range rapid.IntRange(1, 25).Draw(rt, "requests") {
			s.noReply = rapid.IntRange(0, 4).Draw(rt, "no reply") == 0
			if err := s.do(s.draw(rt), budget.Draw(rt, "budget"), budget.Draw(rt, "takeover")); err != nil {
				rt.Fatal(err)
			}
		}
		if err := s.model.check(s.table); err != nil {
			rt.Fatal(err)
		}
		if err := s.replace(nil, -1); err != nil {
			rt.Fatal(err)
		}
		if err := s.model.check(s.table); err != nil {
			rt.Fatalf("after a takeover: %v", err)
		}
	})
}

// TestKilledAtEveryStore kills a server at every store of each kind of request:
// before it, in the middle and after it, and once between the last store and the
// reply.
func TestKilledAtEveryStore(t *testing.T) {
	long := strings.Repeat("x", 200)
	prepare := func(s *system) (n, d node, handle uint64, err error) {
		if err = s.do(lookupStep([]lookup{file("/a", "one", 5), directory("/d"), file("/b", long, 5)}, 0, nil), -1, -1); err != nil {
			return n, d, 0, err
		}
		for _, known := range s.model.nodes {
			switch known.path {
			case "/a":
				n = known
			case "/d":
				d = known
			}
		}
		if err = s.do(openStep(d, openInMode, 0), -1, -1); err != nil {
			return n, d, 0, err
		}
		for id := range s.model.handles {
			handle = id
		}
		return n, d, handle, s.do(lookupStep(nil, handle, []string{"first"}), -1, -1)
	}
	for name, request := range map[string]func(n, d node, handle uint64) step{
		"lookup": func(node, node, uint64) step {
			return lookupStep([]lookup{file("/a", "one", 5), file("/b", "two", 6), file("/new", long, 7)}, 0, nil)
		},
		"forget":                   func(n, d node, _ uint64) step { return forgetStep([]forgetEntry{{n.id, 1}, {d.id, 1}, {n.id, 1}}) },
		"open":                     func(n, _ node, _ uint64) step { return openStep(n, openDirect, 0) },
		"open in passthrough mode": func(n, _ node, _ uint64) step { return openStep(n, openInMode, 7) },
		"release":                  func(_, _ node, handle uint64) step { return releaseStep(handle) },
		"readdir": func(_, _ node, handle uint64) step {
			return lookupStep([]lookup{file("/d/x", "one", 5)}, handle, []string{"x", long})
		},
		"stale": func(n, _ node, _ uint64) step { return staleStep(n.id) },
	} {
		t.Run(name, func(t *testing.T) {
			for budget := -7; ; budget += 7 {
				s := newSystem(t)
				n, d, handle, err := prepare(s)
				s.noReply = budget < 0
				if err == nil {
					err = s.do(request(n, d, handle), budget, -1)
				}
				if err == nil {
					err = s.model.check(s.table)
				}
				if err != nil {
					t.Fatalf("killed after %d bytes: %v", budget, err)
				}
				kills := s.kills
				s.close()
				if err := os.RemoveAll(s.dir); err != nil {
					t.Fatal(err)
				}
				if kills == 0 {
					return
				}
			}
		})
	}
}

// TestScanKeepsWhatIsMadeMeanwhile makes changes between the steps of the scan.
func TestScanKeepsWhatIsMadeMeanwhile(t *testing.T) {
	s := newSystem(t)
	defer func() { s.close() }()
	names := func(from int) (names []lookup) {
		for i := range 100 {
			names = append(names, file(fmt.Sprintf("/%06d", from+i), "one", 5))
		}
		return names
	}
	for i := range 100 {
		if err := s.do(lookupStep(names(100*i), 0, nil), -1, -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.replace(nil, -1); err != nil {
		t.Fatal(err)
	}
	ids := slices.Sorted(maps.Keys(s.model.nodes))
	for i := range 100 {
		list := []forgetEntry{{node: ids[i], count: 1}, {node: ids[len(ids)-1-i], count: 1}}
		for _, f := range []step{forgetStep(list), lookupStep(names(20_000+50*i), 0, nil), openStep(s.model.nodes[ids[1000+i]], openInMode, uint32(i%2)*uint32(i))} {
			if err := s.do(f, -1, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitForScanned(s.table)
	for i := range 100 {
		if err := s.do(lookupStep(names(50_000+100*i), 0, nil), -1, -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.model.check(s.table); err != nil {
		t.Error(err)
	}
}
