package blockstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// seal queues a complete version to be verified and sealed. If the queue is
// full, Lend queues it again. The caller must hold s.mu.
func (s *Store) seal(v *version) {
	select {
	case v.tier.seals <- v:
		v.sealing = true
		v.tier.evict.relist(v)
	default:
	}
}

// sealAll is the loop that seals the versions of one tier.
func (s *Store) sealAll(t *tier) {
	for {
		select {
		case <-s.ctx.Done():
			return
		case v := <-t.seals:
			s.sealed(v, s.sealOne(v))
		}
	}
}

// sealed updates the state of a version after an attempt to seal it.
func (s *Store) sealed(v *version, err error) {
	lost := err != nil && !errors.Is(err, ErrClosed) && !damaged(err)
	s.mu.Lock()
	v.sealing = false
	if err == nil && !v.removed {
		if !v.sealed {
			v.tier.sealedHere++
		}
		v.sealed = true
		for i := range v.blocks {
			v.verified.set(i)
		}
	}
	if lost && !v.removed {
		v.tier.unsealed[v] = struct{}{}
	}
	s.settle(v)
	s.mu.Unlock()
	switch {
	case lost:
		s.fail(v.tier, err, false)
	case err != nil && damaged(err):
		s.discard(v, err)
	}
}

// sealOne reads the blocks that this process has not verified back against their
// checksums, and marks the sidecar as sealed. Only versions with blocks that were
// kept over a restart come here: the writer seals the others.
func (s *Store) sealOne(v *version) error {
	f, err := v.tier.files.Open(v.dataPath(), os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	defer func() { _ = f.Close() }()
	buf := s.chunks.Get().(*[]byte)
	defer s.chunks.Put(buf)
	for _, i := range s.unverified(v) {
		start, length := blockRange(v.key, s.config.BlockSize, i)
		if err := verifyBlock(f, *buf, start, length, v.crcs[i]); err != nil {
			return fmt.Errorf("seal: block %d: %w", i, err)
		}
		if s.ctx.Err() != nil {
			return ErrClosed
		}
	}
	if v.sealed {
		return nil
	}
	meta, err := v.tier.files.Open(v.metaPath(), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	defer func() { _ = meta.Close() }()
	if _, err := meta.WriteAt(appendSlot(nil, v.meta, sealIndex, sealMark), sealOffset(v.key)); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// unverified returns the blocks of a version that this process has not verified.
func (s *Store) unverified(v *version) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var blocks []int64
	for i := range v.blocks {
		if !v.verified.has(i) && !mutantSealUnverified {
			blocks = append(blocks, i)
		}
	}
	return blocks
}

// flush blocks until no block waits for a disk that responds, or the context ends.
func (s *Store) flush(ctx context.Context) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		s.mu.Lock()
		idle := true
		for _, t := range s.tiers {
			idle = idle && (t.dirtyBytes == 0 || t.hung())
		}
		s.mu.Unlock()
		if idle {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Loan is a sealed file that is open for another process.
type Loan struct {
	store *Store
	v     *version
	file  File
	// borrower is nil if the loan cannot be recalled; recalled is set by OnRecall.
	borrower *Borrower
	recalled func()
	// idle is what the borrower has declared. parked is set while the loan is in
	// v.parked: while it is idle and its borrower responds. Store.mu guards them.
	idle, parked bool
}

// Lend opens a sealed and verified version for reading. Its bytes stay charged
// until Return. The error wraps ErrNotSealed if the version is not sealed, or
// not verified yet: a version kept over a restart is verified first, in the
// background.
func (s *Store) Lend(key Key) (*Loan, error) { return s.lend(key, nil) }

func (s *Store) lend(key Key, to *Borrower) (*Loan, error) {
	if err := key.Validate(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	v := s.versions[key.hash()]
	if v == nil || v.key != key || !v.complete() || v.tier == nil || v.tier.state.unreadable {
		s.mu.Unlock()
		return nil, fmt.Errorf("lend: %w", ErrNotSealed)
	}
	if !v.sealed || v.verified.count() != v.blocks {
		if !v.sealing && !v.writing {
			s.seal(v)
		}
		s.mu.Unlock()
		return nil, fmt.Errorf("lend: verification in progress: %w", ErrNotSealed)
	}
	v.refs++
	s.touch(v, wholeFile)
	v.tier.evict.relist(v)
	s.counts.Lent++
	s.mu.Unlock()
	loan := &Loan{store: s, v: v, borrower: to}
	var file File
	err := v.tier.disk.do(func() (err error) {
		file, err = v.tier.files.Open(v.dataPath(), os.O_RDONLY)
		return err
	}, func() {
		if file != nil {
			_ = file.Close()
		}
	})
	if err != nil {
		loan.Return()
		s.mu.Lock()
		moved := v.moved
		s.mu.Unlock()
		if moved {
			return s.lend(key, to)
		}
		if damaged(err) {
			// Another process has removed the file.
			s.discard(v, err)
		} else {
			s.fail(v.tier, err, errors.Is(err, errHung))
		}
		return nil, fmt.Errorf("lend: %w: %w", err, ErrNotSealed)
	}
	loan.file = file
	s.mu.Lock()
	to.add(loan)
	s.countLent(v.tier, 1, 0)
	s.mu.Unlock()
	return loan, nil
}

// Fd returns the descriptor of the file, open for reading only. It is valid
// until CloseFile or Return.
func (l *Loan) Fd() uintptr { return l.file.Fd() }

// CloseFile closes this process's descriptor. The borrower's descriptor and the
// charge stay.
func (l *Loan) CloseFile() {
	if l.file != nil {
		l.store.closeFile(l.v.tier, l.file)
		l.file = nil
	}
}

// Return ends the loan. It must be called once.
func (l *Loan) Return() {
	l.CloseFile()
	s, v := l.store, l.v
	s.mu.Lock()
	s.counts.Lent--
	delete(v.tier.lent, l)
	recall := v.recall
	s.unpark(l)
	l.borrower.returned(l)
	s.release(v)
	remove := recall != nil && v.recall == nil && v.idle() && !v.removed
	if remove {
		recall.remove(v)
	}
	s.mu.Unlock()
	if remove {
		s.removeFiles(v)
	}
}
