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
	// seals is set if the version is complete and verified with these blocks, so
	// that its seal is written with their slots.
	seals bool
	err   error
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
		syncAll(batches)
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

// syncAll makes the data of all batches durable. It starts the writeback of every
// file before it waits for the first, so that one commit of the file system's
// journal covers all of them.
func syncAll(batches []*batch) {
	if len(batches) > 1 {
		for _, b := range batches {
			if b.err == nil {
				b.file.StartSync()
			}
		}
	}
	for _, b := range batches {
		if b.err == nil {
			b.err = b.file.Sync()
		}
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
	// A version that is written whole needs neither a sparse file nor a sidecar
	// before its data is durable.
	if !b.v.recorded && int64(len(b.blocks)) < b.v.blocks {
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

// create sets the length of the data file, which is sparse, and writes the header of
// the sidecar.
func (s *Store) create(b *batch, temporary, copied bool) error {
	v := b.v
	if err := b.file.Truncate(v.key.Size); err != nil {
		return fmt.Errorf("create sparse file: %w", err)
	}
	f, err := v.tier.files.Open(v.metaPath(), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("create sidecar: %w", err)
	}
	_, err = f.WriteAt(s.header(v, temporary, copied), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("create sidecar: %w", err)
	}
	v.recorded = true
	return nil
}

// header returns the header of a new sidecar and records its checksum.
func (s *Store) header(v *version, temporary, copied bool) []byte {
	header, sum := encodeHeader(meta{
		key: v.key, blockSize: s.config.BlockSize, temporary: temporary, copied: copied, created: s.config.Now().UnixNano(),
	})
	v.meta = sum
	return header
}

// writeSlots records blocks whose data is durable, and seals the version if they
// complete it. Neither need be durable: a lost slot means that the block is
// fetched again.
func (s *Store) writeSlots(b *batch) error {
	v := b.v
	s.mu.Lock()
	temporary, copied := v.temporary, v.copied
	b.seals = s.completes(b)
	s.mu.Unlock()
	flag := os.O_RDWR
	if !v.recorded {
		flag |= os.O_CREATE | os.O_TRUNC
	}
	f, err := v.tier.files.Open(v.metaPath(), flag)
	if err != nil {
		return fmt.Errorf("open sidecar: %w", err)
	}
	if v.recorded {
		err = writeRuns(f, b)
	} else {
		_, err = f.WriteAt(wholeSidecar(s.header(v, temporary, copied), b), 0)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write sidecar: %w", err)
	}
	v.recorded = true
	return nil
}

// completes reports whether the blocks of a batch complete their version and
// every other block was verified. The checksum of a block of the batch was
// computed from the bytes in memory that were written, and those of the others
// from bytes written or read by this process. The caller must hold s.mu.
func (s *Store) completes(b *batch) bool {
	return b.v.npresent+int64(len(b.blocks)) == b.v.blocks && b.v.verified.count() == b.v.npresent
}

// wholeSidecar returns a sidecar with all blocks of a version.
func wholeSidecar(header []byte, b *batch) []byte {
	sum := b.v.meta
	at := int64(len(header))
	raw := append(header, make([]byte, metaSize(b.v.key, b.v.blocks)-at)...)
	if b.seals {
		appendSlot(raw[:at], sum, sealIndex, sealMark)
	}
	for _, p := range b.blocks {
		appendSlot(raw[:slotOffset(b.v.key, p.block)], sum, uint64(p.block), p.crc)
	}
	return raw
}

// writeRuns writes the slots of a batch to an existing sidecar, one write for
// each run of blocks, and then the seal.
func writeRuns(f File, b *batch) error {
	for i := 0; i < len(b.blocks); {
		first := b.blocks[i].block
		var slots []byte
		for ; i < len(b.blocks) && b.blocks[i].block == first+int64(len(slots)/slotSize); i++ {
			slots = appendSlot(slots, b.v.meta, uint64(b.blocks[i].block), b.blocks[i].crc)
		}
		if _, err := f.WriteAt(slots, slotOffset(b.v.key, first)); err != nil {
			return err
		}
	}
	if !b.seals {
		return nil
	}
	_, err := f.WriteAt(appendSlot(nil, b.v.meta, sealIndex, sealMark), sealOffset(b.v.key))
	return err
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
	if b.seals && b.err == nil && !v.removed && !v.sealed {
		v.sealed = true
		v.tier.sealedHere++
		v.tier.evict.promote(v)
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
