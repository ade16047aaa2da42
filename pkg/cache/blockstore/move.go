package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// A move copies a sealed version to another tier, as a second version of the same key
// that is not in the index, and then exchanges the two in the index.
//
// Invariants: exactly one of both is in the index at any time, and its files are
// complete, synced and verified; the bytes of the copy are charged before its first
// byte is written, those of the original until its files are unlinked and closed. The
// sidecar of the copy is written last, after its data was synced, so that a crash
// leaves the original, both, or the copy: the load removes files without a sidecar, and
// the second of two versions of a key. Readers and borrowers that have the original
// open read on from it.

// syncBytes is how much of a copy is synced at once: little, because a disk that does
// not sync it within the DiskTimeout counts as hung.
const syncBytes = 8 << 20

// transfer is one move.
type transfer struct {
	store    *Store
	from, to *version
	// source and target are nil while an operation that hangs owns them.
	source, target File
	buf            []byte
}

// move moves a movable version to another tier and reports whether it did. The caller
// must hold s.mu, which is released meanwhile.
func (s *Store) move(v *version, t *tier) bool {
	c := s.startMove(v, t)
	if c == nil {
		return false
	}
	s.mu.Unlock()
	x := &transfer{store: s, from: v, to: c, buf: make([]byte, s.config.BlockSize)}
	err := x.run()
	if err != nil && !errors.Is(err, ErrClosed) {
		s.config.Logger.Debug("moving a cached version failed", "mount", v.key.Mount, "key", v.key.Key, "from", v.tier.Path, "to", t.Path, "error", err)
	}
	s.mu.Lock()
	v.moving = false
	t.reserved -= c.full
	done := err == nil && s.exchange(v, c)
	if !done {
		s.detach(c)
	} else {
		t.counts.MovedBytes += c.full
	}
	s.release(c)
	s.release(v)
	s.mu.Unlock()
	if done {
		s.removeFiles(v)
	} else {
		s.removeFiles(c)
	}
	s.mu.Lock()
	return done
}

// startMove returns the copy of a version to be made in a tier, with its bytes charged;
// nil if the tier does not admit it. The version and the copy are in use from then on.
// The caller must hold s.mu, which is released while room is made.
func (s *Store) startMove(v *version, t *tier) *version {
	if t.removing[v.hash] > 0 {
		return nil
	}
	c := newVersion(v.key, v.hash, s.config.BlockSize)
	c.tier, c.made, c.refs = t, v.made, 1
	c.touched, c.accessed, c.reread, c.interval = v.touched, v.accessed, v.reread, v.interval
	v.moving = true
	v.refs++
	v.tier.evict.relist(v)
	if v.reads() > 0 || v.reread {
		t.evict.move(c, protected)
	} else {
		t.evict.admit(c)
	}
	if !s.makeRoom(c, c.full) {
		v.moving = false
		t.evict.remove(c)
		s.release(v)
		return nil
	}
	c.charge(c.full)
	t.promised += c.full
	t.reserved += c.full
	return c
}

// exchange puts the copy into the index in the place of the original, and reports
// whether it did. The caller must hold s.mu and remove the files of the original.
func (s *Store) exchange(v, c *version) bool {
	if !v.movable() || !c.tier.writable() {
		return false
	}
	c.present, c.verified, c.crcs = newBitmap(v.blocks), newBitmap(v.blocks), slices.Clone(v.crcs)
	for i := range v.blocks {
		c.present.set(i)
		c.verified.set(i)
	}
	c.npresent, c.recorded, c.sealed = v.blocks, true, true
	c.touched, c.accessed, c.reread, c.interval = v.touched, v.accessed, v.reread, v.interval
	c.seen, c.again, c.last = v.seen, v.again, v.last
	c.tier.evict.promote(c)
	if c.class == protected {
		c.tier.evict.setFreq(c, v.reads())
	}
	c.tier.sealedHere++
	s.versions[c.hash] = c
	s.objects[v.key.object()].replace(v, c)
	v.moved, v.evicted = true, true
	v.tier.evicting += v.charged
	s.detach(v)
	return true
}

// run writes the copy. The error of a tier that fails takes that tier out of use, and
// an original with wrong bytes is discarded.
func (x *transfer) run() error {
	s := x.store
	defer x.close()
	var unsynced int64
	for block := range x.from.blocks {
		if s.ctx.Err() != nil {
			return ErrClosed
		}
		began := time.Now()
		start, length := blockRange(x.from.key, s.config.BlockSize, block)
		if err := x.read(block, start, length); err != nil {
			return x.failed(x.from, err)
		}
		if err := x.write(start, length); err != nil {
			return x.failed(x.to, err)
		}
		if unsynced += length; unsynced >= syncBytes || block == x.from.blocks-1 {
			unsynced = 0
			if err := x.sync(); err != nil {
				return x.failed(x.to, err)
			}
		}
		if err := s.pace(length, time.Since(began)); err != nil {
			return err
		}
	}
	if err := x.record(); err != nil {
		return x.failed(x.to, err)
	}
	return nil
}

// failed takes the tier of a version out of use after an error of its disk, or
// discards the version if it is damaged.
func (x *transfer) failed(v *version, err error) error {
	if errors.Is(err, errHung) {
		x.buf = nil // The operation still owns it.
	}
	switch {
	case v == x.from && damaged(err):
		x.store.discard(v, err)
	case !errors.Is(err, fs.ErrExist):
		x.store.fail(v.tier, err, v == x.from && errors.Is(err, errHung))
	}
	return fmt.Errorf("move to %s: %w", x.to.tier.Path, err)
}

// read reads a block of the original and verifies it.
func (x *transfer) read(block, start, length int64) error {
	v, buf := x.from, x.buf[:length]
	err := x.do(v, &x.source, os.O_RDONLY, func(f File) error { return readFull(f, buf, start) })
	if err == nil && checksum(buf) != v.crcs[block] && !mutantMoveUnverified {
		err = errCorrupt
	}
	return err
}

// write writes a block of the copy. The first one creates the file.
func (x *transfer) write(start, length int64) error {
	s, v, buf := x.store, x.to, x.buf[:length]
	if !v.created {
		s.mu.Lock()
		v.created = true
		v.tier.filesHere++
		s.mu.Unlock()
	}
	return x.do(v, &x.target, os.O_RDWR|os.O_CREATE|os.O_EXCL, func(f File) error {
		_, err := f.WriteAt(buf, start)
		f.StartSync()
		return err
	})
}

func (x *transfer) sync() error {
	return x.do(x.to, &x.target, os.O_RDWR, func(f File) error { return f.Sync() })
}

// record writes the sidecar of the copy, which makes it usable after a restart.
func (x *transfer) record() error {
	v := x.to
	header, sum := encodeHeader(meta{key: v.key, blockSize: x.store.config.BlockSize, created: v.made})
	v.meta = sum
	raw := sealedSidecar(header, v, x.from.crcs)
	return v.tier.disk.do(func() error {
		f, err := v.tier.files.Open(v.metaPath(), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(raw, 0)
		return errors.Join(err, f.Close())
	}, nil)
}

// do runs an operation on a data file, which it opens if it is not open. An operation
// that hangs keeps the file and closes it.
func (x *transfer) do(v *version, held *File, flag int, f func(File) error) error {
	file := *held
	*held = nil
	err := v.tier.disk.do(func() (err error) {
		if file == nil {
			if file, err = v.tier.files.Open(v.dataPath(), flag); err != nil {
				return err
			}
		}
		return f(file)
	}, func() {
		if file != nil {
			_ = file.Close()
		}
	})
	if !errors.Is(err, errHung) {
		*held = file
	}
	return err
}

func (x *transfer) close() {
	if x.source != nil {
		x.store.closeFile(x.from.tier, x.source)
	}
	if x.target != nil {
		x.store.closeFile(x.to.tier, x.target)
	}
}

// pace waits after n bytes were moved in some time, so that moves take at most the
// MoveRate, and at most half of the time of a disk that is busy.
func (s *Store) pace(n int64, took time.Duration) error {
	wait := time.Duration(float64(n) / float64(s.config.MoveRate) * float64(time.Second))
	timer := time.NewTimer(max(wait-took, took))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// sealedSidecar returns the sidecar of a complete and sealed version.
func sealedSidecar(header []byte, v *version, crcs []uint32) []byte {
	b := appendSlot(header, v.meta, sealIndex, sealMark)
	for i, crc := range crcs {
		b = appendSlot(b, v.meta, uint64(i), crc)
	}
	return b
}
