//go:build linux

package fusefs

import "testing"

// TestFindEncodedVerifies flips every byte of a record: it is found by its payload only
// while it can be read, and then with the same id and state.
func TestFindEncodedVerifies(t *testing.T) {
	table := reopen(t, t.TempDir(), nil, &counter{})
	defer func() { _ = table.close() }()
	name := manyNames(7, 1)[0]
	node := table.recordLookups(2, []lookup{name}, nil)[0]
	table.replied(2)
	payload := appendVersioned(nil, name.path, false, name.entry.Version)
	hash := table.hashPath(name.path)
	table.mu.Lock()
	defer table.mu.Unlock()
	r, ok := table.findEncoded(hash, payload)
	if !ok || r.id != node.id || r.state.x != 1 {
		t.Fatalf("found %+v, %v", r, ok)
	}
	whole, err := table.arena.read(r.slot)
	if err != nil || len(whole.parts) < 2 {
		t.Fatalf("%d parts, %v", len(whole.parts), err)
	}
	for _, slot := range append([]uint32{r.slot}, whole.parts...) {
		for i := range slotSize {
			table.arena.slot(slot)[i] ^= 0x10
			found, ok := table.findEncoded(hash, payload)
			_, err := table.arena.read(r.slot)
			if ok && (err != nil || found.id != r.id || found.state != r.state) {
				t.Errorf("byte %d of slot %d is flipped: found %+v, read returns %v", i, slot, found, err)
			}
			table.arena.slot(slot)[i] ^= 0x10
			table.damagedLinks = false
		}
	}
}
