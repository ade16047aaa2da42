//go:build linux

package fusefs

import (
	"fmt"
	"slices"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// model is what the kernel knows: what was replied to it.
type model struct {
	nodes   map[uint64]node
	handles map[uint64]handleModel
	// used holds every id that was ever replied.
	used map[uint64]bool
}

type handleModel struct {
	node    uint64
	version reader.Version
	dir     bool
	sent    []string
	// counted handles are in the mode of their node, passthrough if backing is not 0.
	counted bool
	backing uint32
}

// mode returns the number of handles in the mode of a node, and its backing.
func (m *model) mode(node uint64) (opens int, backing uint32) {
	for _, h := range m.handles {
		if h.node == node && h.counted {
			opens, backing = opens+1, h.backing
		}
	}
	return opens, backing
}

// drop forgets a node that the kernel has forgotten and of which no handle is open.
func (m *model) drop(id uint64) {
	if opens, _ := m.mode(id); opens == 0 && m.nodes[id].lookups == 0 {
		delete(m.nodes, id)
	}
}

func newModel() *model {
	return &model{nodes: map[uint64]node{}, handles: map[uint64]handleModel{}, used: map[uint64]bool{rootID: true}}
}

// step is one request of the kernel. It processes the request and returns a
// function that adds the reply to the model.
type step func(t *table, unique uint64) (reply func(*model) error)

func lookupStep(names []lookup, cursorOf uint64, sent []string) step {
	return func(t *table, unique uint64) func(*model) error {
		var cursor *op
		if cursorOf != 0 {
			cursor = &op{kind: opCursor, handle: cursorOf, names: sent}
		}
		nodes := t.recordLookups(unique, names, cursor)
		return func(m *model) error {
			if h, ok := m.handles[cursorOf]; ok {
				h.sent = sent
				m.handles[cursorOf] = h
			}
			return m.lookedUp(names, nodes)
		}
	}
}

func (m *model) lookedUp(names []lookup, nodes []node) error {
	for i, n := range nodes {
		known, ok := m.nodes[n.id]
		switch {
		case n.path != names[i].path || n.version != names[i].entry.Version || n.dir != names[i].entry.Dir:
			return fmt.Errorf("lookup of %+v returned %+v", names[i], n)
		case !ok && m.used[n.id]:
			return fmt.Errorf("nodeid %d is reused", n.id)
		case ok && (known.path != n.path || known.version != n.version):
			return fmt.Errorf("nodeid %d was %+v and is %+v", n.id, known, n)
		}
		m.used[n.id] = true
		n.lookups = known.lookups + 1
		m.nodes[n.id] = n
	}
	return nil
}

func forgetStep(list []forgetEntry) step {
	return func(t *table, unique uint64) func(*model) error {
		t.forget(unique, list)
		return func(m *model) error {
			for _, f := range list {
				n, ok := m.nodes[f.node]
				if n.lookups -= min(f.count, n.lookups); ok {
					m.nodes[f.node] = n
					m.drop(f.node)
				}
			}
			return nil
		}
	}
}

func openStep(n node, how opening, backing uint32) step {
	return func(t *table, unique uint64) func(*model) error {
		var h *handle
		if n.dir {
			h = t.openDir(unique, n, how == openDirect)
		} else {
			h = t.openFile(unique, n, n.version, how, backing)
		}
		return func(m *model) error {
			if h == nil {
				if opens, mode := m.mode(n.id); how != openDirect || opens == 0 || mode == 0 {
					return fmt.Errorf("an open of node %d is refused beside %d handles with backing %d", n.id, opens, mode)
				}
				return nil
			}
			if m.used[h.id] {
				return fmt.Errorf("handle %d is reused", h.id)
			}
			// The kernel opens an inode in one mode at a time.
			if opens, mode := m.mode(n.id); opens > 0 && h.backing != mode && how != openDirect {
				return fmt.Errorf("an open of node %d has backing %d beside %d handles with %d", n.id, h.backing, opens, mode)
			}
			// The kernel refuses to map a handle that is direct beside no backing.
			if !n.dir && h.direct != (how == openDirect || how == openUnaligned && h.passthrough) {
				return fmt.Errorf("handle %+v, opened as %d", h, how)
			}
			if h.passthrough != (h.backing != 0) || h.passthrough && !h.counted {
				return fmt.Errorf("handle %+v", h)
			}
			m.used[h.id] = true
			m.handles[h.id] = handleModel{node: n.id, version: n.version, dir: n.dir, counted: h.counted, backing: h.backing}
			return nil
		}
	}
}

func releaseStep(id uint64) step {
	return func(t *table, unique uint64) func(*model) error {
		_, ended := t.release(unique, id)
		return func(m *model) error {
			h := m.handles[id]
			delete(m.handles, id)
			opens, _ := m.mode(h.node)
			m.drop(h.node)
			// A killed server may have ended it.
			if ended != 0 && (ended != h.backing || opens > 0) {
				return fmt.Errorf("the release of %+v ends backing %d", h, ended)
			}
			return nil
		}
	}
}

func staleStep(id uint64) step {
	return func(t *table, _ uint64) func(*model) error {
		t.markStale(id)
		_ = t.refuse(id)
		return func(*model) error { return nil }
	}
}

// check compares a table with what was replied.
func (m *model) check(t *table) error {
	for id, want := range m.nodes {
		n, ok := t.node(id)
		if !ok || n.lookups != want.lookups || n.path != want.path || n.version != want.version || n.dir != want.dir {
			return fmt.Errorf("node %d is %+v, %v; want %+v", id, n, ok, want)
		}
		if opens, backing := m.mode(id); n.opens != uint64(opens) || n.backing != backing {
			return fmt.Errorf("node %d has %d handles with backing %d, want %d with %d", id, n.opens, n.backing, opens, backing)
		}
	}
	for id, want := range m.handles {
		h, ok := t.handle(id)
		if !ok || h.version != want.version || h.node != want.node || h.dir != want.dir {
			return fmt.Errorf("handle %d is %+v, %v; want %+v", id, h, ok, want)
		}
		if sent := t.sent(h); !containsAll(sent, want.sent) {
			return fmt.Errorf("handle %d: the cursor is %q, want %q", id, sent, want.sent)
		}
	}
	nodes, handles, _ := t.sizes()
	if nodes != len(m.nodes)+1 || handles != len(m.handles) {
		return fmt.Errorf("%d nodes and %d handles, want %d and %d", nodes, handles, len(m.nodes)+1, len(m.handles))
	}
	return m.checkSlots(t)
}

func containsAll(all, some []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

// checkSlots verifies that the set of used slots matches the records.
func (m *model) checkSlots(t *table) error {
	waitForScanned(t)
	// The scan still gives the space of empty chunks back.
	t.mu.Lock()
	defer t.mu.Unlock()
	want := map[uint32]bool{}
	each(t, func(r record) {
		for _, slot := range append([]uint32{r.slot}, r.parts...) {
			want[slot] = true
		}
	})
	for slot := range uint32(len(t.arena.chunks)) * chunkSlots {
		if t.arena.holds(slot) && t.space.isUsed(slot) != want[slot] {
			return fmt.Errorf("slot %d: used %v, want %v", slot, t.space.isUsed(slot), want[slot])
		}
	}
	return nil
}
