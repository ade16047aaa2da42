package blockstore

import (
	"slices"
	"time"
)

// A file system keeps the pages of one large write in one folio, and maps a folio at
// once. So two blocks that form an aligned pair are written at once: a file whose
// blocks are 1 MiB then consists of folios of 2 MiB, which is what a page table entry
// maps. A complete block waits for the other one of its pair while that is being
// downloaded.
//
// Invariants: a block that waits is in version.dirty, and stops waiting at most pairWait
// later, whatever happens to the other one. So the memory of blocks that wait, which
// downloads may need, is returned. None begins to wait while memory is scarce, or the
// blocks that wait for the disk have half of the room that they may have.

// pairWait bounds the time for which a block waits for the other one of its pair. A
// connection of 100 MB/s needs 10 ms for a block of 1 MiB.
const pairWait = 50 * time.Millisecond

// pair lets a dirty block wait for the other one of its pair, or ends the wait of that
// one. The caller must hold s.mu.
func (s *Store) pair(v *version, p *pending) {
	other := v.pending[p.block^1]
	switch {
	case other == nil:
	case other.waits:
		other.waits = false
	case other.state == loading && !s.memory.scarce(int64(len(p.buf))) && v.tier.dirtyBytes <= v.tier.dirtyLimit/2:
		p.waits = true
		time.AfterFunc(s.config.pairWait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if p.waits {
				p.waits = false
				s.list(v)
			}
		})
	}
}

// writes reports whether a version has dirty blocks that do not wait.
func (v *version) writes() bool {
	return slices.ContainsFunc(v.dirty, func(p *pending) bool { return !p.waits })
}

// takeDirty removes the dirty blocks that do not wait, and returns them by their
// numbers.
func (v *version) takeDirty() []*pending {
	var taken, waiting []*pending
	for _, p := range v.dirty {
		if p.waits {
			waiting = append(waiting, p)
		} else {
			taken = append(taken, p)
		}
	}
	v.dirty = waiting
	slices.SortFunc(taken, func(a, b *pending) int { return int(a.block - b.block) })
	return taken
}

// runs calls write for each run of blocks, with the bytes of each block.
func runs(blocks []*pending, write func(first int64, bytes [][]byte) error) error {
	for i := 0; i < len(blocks); {
		first := blocks[i].block
		var bytes [][]byte
		for ; i < len(blocks) && blocks[i].block == first+int64(len(bytes)); i++ {
			bytes = append(bytes, blocks[i].buf)
		}
		if err := write(first, bytes); err != nil {
			return err
		}
	}
	return nil
}
