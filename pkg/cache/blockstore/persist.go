package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

const (
	// writers is the number of goroutines that write to one tier.
	writers = 2
	// batchBytes is the size of a batch, which shares one round of fdatasync.
	batchBytes = 16 << 20
)

// batch is a set of blocks of one version that are written together.
type batch struct {
	v      *version
	blocks []*pending
	file   File
	err    error
}

// writing is what a writer does now.
type writing struct {
	since   time.Time
	batches []*batch
}

// enqueue queues a block for a writer. The caller must hold s.mu.
func (s *Store) enqueue(v *version, p *pending) {
	v.tier.dirtyBytes += int64(len(p.buf))
	v.dirty = append(v.dirty, p)
	s.list(v)
}

// list queues a version that has dirty blocks and no writer. The caller must
// hold s.mu.
func (s *Store) list(v *version) {
	if v.queued || v.writing || len(v.dirty) == 0 {
		return
	}
	v.queued = true
	t := s.writersOf(v)
	t.dirty = append(t.dirty, v)
	t.wake()
}

// writersOf returns the tier whose writers write a version: its own.
func (s *Store) writersOf(v *version) *tier {
	if mutantSharedWriters {
		return s.tiers[0]
	}
	return v.tier
}

func (t *tier) wake() {
	select {
	case t.work <- struct{}{}:
	default:
	}
}

// write is the loop of one writer of a tier: it takes batches, writes all of
// them, syncs each file, and only then records the blocks in the sidecars.
func (s *Store) write(t *tier, id int) {
	for {
		batches := s.take(t, id)
		if len(batches) == 0 {
			select {
			case <-t.work:
				continue
			case <-s.ctx.Done():
				return
			}
		}
		for _, b := range batches {
			b.err = s.writeData(b)
		}
		for _, b := range batches {
			if b.err == nil {
				b.err = b.file.Sync()
			}
		}
		for _, b := range batches {
			if b.err == nil {
				b.err = s.writeSlots(b)
			}
			if b.file != nil {
				_ = b.file.Close()
			}
			s.written(b)
		}
		s.mu.Lock()
		delete(t.writers, id)
		s.mu.Unlock()
	}
}

// take removes versions of up to batchBytes from the queue.
func (s *Store) take(t *tier, id int) []*batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	var batches []*batch
	var bytes int64
	for len(t.dirty) > 0 && bytes < batchBytes {
		v := t.dirty[0]
		t.dirty = t.dirty[1:]
		v.queued = false
		b := &batch{v: v, blocks: v.dirty}
		v.dirty = nil
		for _, p := range b.blocks {
			bytes += int64(len(p.buf))
		}
		v.writing = true
		v.tier.evict.relist(v)
		batches = append(batches, b)
	}
	if len(t.dirty) == 0 {
		t.dirty = nil
	} else {
		t.wake()
	}
	if len(batches) > 0 {
		t.writers[id] = &writing{since: s.config.Now(), batches: batches}
	}
	return batches
}

// dropDirty gives up the blocks that wait for a disk that hangs, and so their
// memory. The blocks being written stay. The caller must hold s.mu.
func (s *Store) dropDirty(t *tier) {
	waiting := t.dirty
	t.dirty = nil
	for _, w := range t.writers {
		for _, b := range w.batches {
			waiting = append(waiting, b.v)
		}
	}
	for _, v := range waiting {
		blocks := v.dirty
		v.dirty, v.queued = nil, false
		for _, p := range blocks {
			t.dirtyBytes -= int64(len(p.buf))
			s.counts.Skipped++
			p.state = uncached
			s.unreserve(v, p)
			s.reap(v, p)
		}
		s.settle(v)
	}
}

func (s *Store) writeData(b *batch) error {
	s.mu.Lock()
	removed, created := b.v.removed, b.v.created
	writable := b.v.tier.writable()
	temporary, copied := b.v.temporary, b.v.copied
	if !removed && writable && !created {
		b.v.created = true
		b.v.tier.filesHere++
	}
	s.mu.Unlock()
	if removed || !writable {
		return errors.New("the version was removed, or the tier stores nothing new")
	}
	var err error
	flag := os.O_RDWR
	if !created {
		flag |= os.O_CREATE | os.O_EXCL
	}
	if b.file, err = b.v.tier.files.Open(b.v.dataPath(), flag); err != nil {
		return fmt.Errorf("open cached file: %w", err)
	}
	if !created {
		if err := s.create(b, temporary, copied); err != nil {
			return err
		}
	}
	for _, p := range b.blocks {
		start, _ := blockRange(b.v.key, s.config.BlockSize, p.block)
		if _, err := b.file.WriteAt(p.buf, start); err != nil {
			return fmt.Errorf("write block %d: %w", p.block, err)
		}
	}
	return nil
}

// create sets the length of the data file and writes the header of the sidecar.
func (s *Store) create(b *batch, temporary, copied bool) error {
	v := b.v
	if err := b.file.Truncate(v.key.Size); err != nil {
		return fmt.Errorf("create sparse file: %w", err)
	}
	header, sum := encodeHeader(meta{
		key: v.key, blockSize: s.config.BlockSize, temporary: temporary, copied: copied, created: s.config.Now().UnixNano(),
	})
	f, err := v.tier.files.Open(v.metaPath(), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("create sidecar: %w", err)
	}
	_, err = f.WriteAt(header, 0)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("create sidecar: %w", err)
	}
	v.meta = sum
	return nil
}

// writeSlots records blocks whose data is durable. The slots need not be
// durable: a lost slot means that the block is fetched again.
func (s *Store) writeSlots(b *batch) error {
	f, err := b.v.tier.files.Open(b.v.metaPath(), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open sidecar: %w", err)
	}
	for i := 0; i < len(b.blocks) && err == nil; {
		first := b.blocks[i].block
		var slots []byte
		for ; i < len(b.blocks) && b.blocks[i].block == first+int64(len(slots)/slotSize); i++ {
			slots = appendSlot(slots, b.v.meta, uint64(b.blocks[i].block), b.blocks[i].crc)
		}
		_, err = f.WriteAt(slots, slotOffset(b.v.key, first))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write sidecar: %w", err)
	}
	return nil
}

// written updates the state of the blocks of a batch after its I/O.
func (s *Store) written(b *batch) {
	s.mu.Lock()
	v := b.v
	v.writing = false
	for _, p := range b.blocks {
		v.tier.dirtyBytes -= int64(len(p.buf))
		if b.err != nil || v.removed {
			p.state = uncached
			s.unreserve(v, p)
		} else {
			p.state = stored
			v.present.set(p.block)
			v.verified.set(p.block)
			v.crcs[p.block] = p.crc
			v.npresent++
			v.tier.reserved -= p.reserved
			p.reserved = 0
			if v.pending[p.block] == p {
				delete(v.pending, p.block)
			}
		}
		s.reap(v, p)
	}
	s.list(v)
	remove := v.created && (v.removed && !v.unlinked || b.err != nil && !v.removed && v.refs == 0)
	report := b.err != nil && !v.removed && v.tier.writable() && !errors.Is(b.err, fs.ErrExist)
	if remove {
		// After a failed write the size of the file on disk is unknown.
		s.forget(v)
	} else if v.complete() && !v.sealed && !v.removed && !v.sealing {
		v.tier.evict.promote(v)
		s.seal(v)
	}
	s.settle(v)
	s.mu.Unlock()
	if report {
		s.fail(v.tier, b.err, false)
	}
	if remove {
		s.removeFiles(v)
	}
}
