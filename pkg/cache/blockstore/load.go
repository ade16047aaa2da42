package blockstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// load rebuilds the index of a tier from its sidecars and removes torn and
// unknown files. The blocks are unverified until they are read.
func (s *Store) load(t *tier) error {
	s.mu.Lock()
	loaded := t.loaded
	s.mu.Unlock()
	if loaded {
		return nil
	}
	if err := t.files.MkdirAll(t.dir); err != nil {
		return fmt.Errorf("create tier %s: %w", t.Path, err)
	}
	if t.lock == nil {
		if err := t.takeLock(); err != nil {
			return err
		}
	}
	for i := range 256 {
		if s.ctx.Err() != nil {
			return ErrClosed
		}
		dir := filepath.Join(t.dir, fmt.Sprintf("%02x", i))
		if err := t.files.MkdirAll(dir); err != nil {
			return fmt.Errorf("create tier %s: %w", t.Path, err)
		}
		if err := s.loadDir(t, dir); err != nil {
			return err
		}
		t.scanned.Add(1)
	}
	s.mu.Lock()
	t.loaded = true
	s.mu.Unlock()
	return nil
}

func (s *Store) loadDir(t *tier, dir string) error {
	entries, err := t.files.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read tier %s: %w", t.Path, err)
	}
	names := make(map[string]bool, len(entries))
	for _, e := range entries {
		names[e.Name()] = e.Type().IsRegular()
	}
	for name, regular := range names {
		base, isMeta := strings.CutSuffix(name, ".meta")
		if isMeta && regular && names[base+".data"] {
			err := s.loadVersion(t, dir, base)
			if err == nil {
				delete(names, name)
				delete(names, base+".data")
				continue
			}
			if !errors.Is(err, errMeta) {
				return err
			}
			s.config.Logger.Info("removing an unusable cached file", "path", filepath.Join(dir, name), "error", err)
		}
	}
	for name := range names {
		// The store creates no directories here; one is removed only if empty.
		if err := t.files.Remove(filepath.Join(dir, name)); err != nil && names[name] && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove unusable file: %w", err)
		}
	}
	return nil
}

// loadVersion returns an error that wraps errMeta if the files are unusable.
func (s *Store) loadVersion(t *tier, dir, base string) error {
	raw, err := readFile(t.files, filepath.Join(dir, base+".meta"))
	if err != nil {
		return fmt.Errorf("read sidecar: %w", err)
	}
	m, err := decodeMeta(raw)
	if err != nil {
		return err
	}
	h := m.key.hash()
	switch {
	case h.String() != base || filepath.Base(dir) != base[:2]:
		return fmt.Errorf("the sidecar is of %s: %w", h, errMeta)
	case m.blockSize != s.config.BlockSize:
		return fmt.Errorf("block size %d: %w", m.blockSize, errMeta)
	case m.temporary:
		return fmt.Errorf("held for another worker: %w", errMeta)
	case m.present.count() == 0:
		return fmt.Errorf("no blocks: %w", errMeta)
	}
	size, err := sizeOf(t.files, filepath.Join(dir, base+".data"))
	if err != nil {
		return fmt.Errorf("open cached file: %w", err)
	}
	if size != m.key.Size {
		return fmt.Errorf("the data file has %d bytes, want %d: %w", size, m.key.Size, errMeta)
	}
	return s.adopt(t, m, h)
}

// adopt inserts the version that a sidecar describes into the index.
func (s *Store) adopt(t *tier, m meta, h hash) error {
	v := newVersion(m.key, h, s.config.BlockSize)
	v.tier, v.created, v.recorded, v.sealed, v.copied = t, true, true, m.sealed, m.copied
	v.present, v.crcs, v.verified = m.present, m.crcs, newBitmap(v.blocks)
	v.npresent = m.present.count()
	_, v.meta = encodeHeader(m)
	replaced, err := s.insertLoaded(t, v, m)
	if replaced != nil {
		s.removeFiles(replaced)
	}
	return err
}

// insertLoaded inserts a version that was kept over a restart. It returns the version
// in another tier that it replaces, whose files the caller must remove: a sealed
// version replaces one that is not.
func (s *Store) insertLoaded(t *tier, v *version, m meta) (replaced *version, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.versions[v.hash]; other != nil {
		switch {
		case other.created && other.tier == t: // An earlier attempt inserted it.
			return nil, nil
		case other.created && v.sealed && !other.sealed && other.idle():
			replaced = other
		case other.created || !other.idle(): // It is on another tier, or being read.
			return nil, fmt.Errorf("the version exists already: %w", errMeta)
		}
		s.forget(other)
	}
	s.insert(v)
	t.filesHere++
	if v.sealed {
		t.sealedHere++
	}
	v.charge(bytesOf(v, s.config.BlockSize))
	v.touched, v.accessed, v.made = s.config.Now(), s.config.Now(), m.created
	t.evict.restore(v)
	s.expireOlder(v)
	return replaced, nil
}

// bytesOf returns the bytes that the present blocks and the sidecar of a version take.
func bytesOf(v *version, blockSize int64) int64 {
	n := pages(metaSize(v.key, v.blocks))
	for i := range v.blocks {
		if v.has(i) {
			_, length := blockRange(v.key, blockSize, i)
			n += pages(length)
		}
	}
	return n
}

// expireOlder lets all but the newest version of an object expire. The creation
// time of the file replaces what was seen before the restart. The caller must
// hold s.mu.
func (s *Store) expireOlder(v *version) {
	others := s.objects[v.key.object()].versions
	newest := v
	for _, other := range others {
		if other.made > newest.made {
			newest = other
		}
	}
	for _, other := range others {
		if other != newest && other.tier != nil {
			s.supersede(other)
		}
	}
}

func readFile(files Files, path string) ([]byte, error) {
	f, err := files.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > slotSize*(maxBlocks+2)+1<<16 {
		return nil, fmt.Errorf("%d bytes: %w", size, errMeta)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

func sizeOf(files Files, path string) (int64, error) {
	f, err := files.Open(path, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	return f.Size()
}
