package blockstore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The scrubber reads every sealed file against its checksums, slowly. Readers verify a
// block once in the life of a process, and those that a file is lent to do not verify
// it at all, so that they would never notice a disk that damages bytes later. A damaged
// version is discarded, which revokes its loans.
//
// Files are read past the page cache, which may hold other bytes than the disk and
// must not lose what readers use. A pass lists one directory after another, so that it
// needs no memory for the versions, and starts with a random one, so that a process
// that is restarted often reads all files in the end.
const (
	// DefaultScrub is the default of Config.Scrub.
	DefaultScrub = 7 * 24 * time.Hour
	// scrubRate is the largest number of bytes that are read from a tier in a second.
	scrubRate = 16 << 20
	// scrubPause bounds the time between two blocks, so that a pass follows the
	// growth of the tier. Tiers below 10 GiB (with blocks of 1 MiB) are read more often
	// than requested.
	scrubPause = time.Minute
	// directAlign is the alignment of memory, offsets and lengths of reads past the
	// page cache.
	directAlign = 4096
)

// scrub reads the files of one tier again and again until the store is closed.
func (s *Store) scrub(t *tier) {
	for s.pause(scrubPause) {
		s.scrubPass(t, func(n int64) bool { return s.scrubWait(t, n) })
	}
}

// scrubWait waits after n bytes were read, and returns false if the store is closed.
func (s *Store) scrubWait(t *tier, n int64) bool {
	s.mu.Lock()
	used := t.used
	s.mu.Unlock()
	return s.pause(scrubDelay(n, used, s.config.Scrub))
}

// scrubDelay returns the time after n bytes were read until the next ones are, in a
// pass over used bytes that is to take an interval.
func scrubDelay(n, used int64, interval time.Duration) time.Duration {
	least := time.Duration(float64(n) / scrubRate * float64(time.Second))
	if used <= 0 {
		return max(least, scrubPause)
	}
	return max(least, min(scrubPause, time.Duration(float64(n)/float64(used)*float64(interval))))
}

// pause waits, and returns false if the store is closed.
func (s *Store) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// scrubPass reads every sealed file of a tier once. It calls wait after each block
// with the number of bytes read, and ends when wait returns false. A tier that cannot
// be read is left to a later pass.
func (s *Store) scrubPass(t *tier, wait func(n int64) bool) {
	s.mu.Lock()
	empty := t.sealedHere == 0
	s.mu.Unlock()
	if empty {
		return
	}
	first := rand.IntN(256)
	for i := range 256 {
		s.mu.Lock()
		skip := !t.loaded || t.state.unreadable || t.hung()
		s.mu.Unlock()
		if skip || s.ctx.Err() != nil {
			return
		}
		for _, v := range s.scrubList(t, filepath.Join(t.dir, fmt.Sprintf("%02x", (first+i)%256))) {
			for block := range v.blocks {
				n, more := s.scrubBlock(t, v, block)
				if n > 0 && !wait(n) {
					return
				}
				if !more {
					break
				}
			}
		}
	}
	s.mu.Lock()
	s.counts.ScrubPasses++
	s.mu.Unlock()
}

// scrubList returns the versions of a directory that are sealed. Their sidecars are
// listed, so that a data file that is missing is found too.
func (s *Store) scrubList(t *tier, dir string) []*version {
	found := make(chan []fs.DirEntry, 1) // An operation that hangs may still write its list.
	err := t.disk.do(func() error {
		entries, err := t.files.ReadDir(dir)
		found <- entries
		return err
	}, nil)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.fail(t, err, errors.Is(err, errHung))
		}
		return nil
	}
	var versions []*version
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, entry := range <-found {
		base, ok := strings.CutSuffix(entry.Name(), ".meta")
		var h hash
		if !ok || len(base) != 2*len(h) {
			continue
		}
		if _, err := hex.Decode(h[:], []byte(base)); err != nil {
			continue
		}
		if v := s.versions[h]; v != nil && v.tier == t && v.sealed {
			versions = append(versions, v)
		}
	}
	return versions
}

// scrubBlock verifies a block of a sealed version, and discards a version that is
// damaged or cannot be read. It returns the number of bytes that were read, and false
// if the other blocks need not be verified.
//
// The version may be evicted, or move to another tier, meanwhile: it is not held, so
// that the scrubber has no part in what is evicted. Its file never changes, and an
// error of a version that has left the tier says nothing.
func (s *Store) scrubBlock(t *tier, v *version, block int64) (int64, bool) {
	s.mu.Lock()
	if v.removed || v.tier != t || t.state.unreadable || t.hung() {
		s.mu.Unlock()
		return 0, false
	}
	path, want := v.dataPath(), v.crcs[block]
	s.mu.Unlock()
	start, length := blockRange(v.key, s.config.BlockSize, block)
	err := t.disk.do(func() error {
		err := verifyFile(t.files, path, unix.O_DIRECT, start, length, want)
		if errors.Is(err, unix.EINVAL) {
			// The file system has no such reads, or with another alignment.
			err = verifyFile(t.files, path, 0, start, length, want)
		}
		return err
	}, nil)
	s.mu.Lock()
	removed := v.removed || v.tier != t
	if err == nil && !removed {
		v.verified.set(block)
	}
	if !removed && !errors.Is(err, errHung) {
		s.counts.ScrubbedBytes += length
	}
	s.mu.Unlock()
	if removed {
		return length, false
	}
	switch {
	case err == nil:
		return length, true
	case errors.Is(err, errHung):
		s.fail(t, err, true)
		return 0, false
	case !damaged(err):
		s.fail(t, err, false)
	}
	if mutantScrubIgnores {
		return length, true
	}
	s.mu.Lock()
	s.counts.ScrubDamaged++
	s.mu.Unlock()
	s.discard(v, fmt.Errorf("scrub: block %d: %w", block, err))
	return length, false
}

// verifyFile compares a block of a file with its checksum.
func verifyFile(files Files, path string, flag int, start, length int64, want uint32) error {
	f, err := files.Open(path, os.O_RDONLY|flag)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return verifyBlock(alignedFile{f}, alignedBuffer(), start, length, want)
}

// alignedBuffer returns memory for a read past the page cache.
func alignedBuffer() []byte {
	b := make([]byte, chunkSize+directAlign)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (directAlign - 1)
	return b[skip : skip+chunkSize]
}

// alignedFile reads a file in aligned lengths: p must have the capacity for that.
type alignedFile struct{ File }

// ReadAt implements io.ReaderAt.
func (f alignedFile) ReadAt(p []byte, offset int64) (int, error) {
	whole := p[:(len(p)+directAlign-1)/directAlign*directAlign]
	n, err := f.File.ReadAt(whole, offset)
	if n >= len(p) {
		return len(p), nil
	}
	return n, err
}
