package blockstore

import (
	"errors"
	"io/fs"
)

// removeFiles unlinks the files of forgotten versions. It waits for a hanging
// disk at most once: what is left is removed later by removeAgain.
func (s *Store) removeFiles(versions ...*version) {
	for _, v := range versions {
		t := v.tier
		if t == nil || !v.created {
			continue
		}
		s.mu.Lock()
		skip := t.hung()
		s.mu.Unlock()
		err := errHung
		if !skip {
			err = t.disk.do(func() error { return s.unlink(v) }, nil)
		}
		if err == nil {
			continue
		}
		s.mu.Lock()
		t.unremoved = append(t.unremoved, v)
		s.mu.Unlock()
		s.fail(t, err, false)
	}
}

// unlink removes the files of a version, the sidecar first, so that a crash in
// between leaves no usable version.
func (s *Store) unlink(v *version) error {
	var failed error
	for _, path := range []string{v.metaPath(), v.dataPath()} {
		if err := v.tier.files.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed == nil && !v.unlinked {
		v.unlinked = true
		removing := v.tier.removing
		if removing[v.hash]--; removing[v.hash] <= 0 {
			delete(removing, v.hash)
		}
		s.settle(v)
	}
	return failed
}

// removeAgain retries to unlink files of a tier.
func (s *Store) removeAgain(t *tier) {
	s.mu.Lock()
	if !t.writable() {
		s.mu.Unlock()
		return
	}
	again := t.unremoved
	t.unremoved = nil
	s.mu.Unlock()
	for i, v := range again {
		s.mu.Lock()
		unlinked, usable := v.unlinked, t.writable()
		if !usable {
			t.unremoved = append(t.unremoved, again[i:]...)
		}
		s.mu.Unlock()
		if !usable {
			return
		}
		if !unlinked { // Otherwise it succeeded after the timeout.
			s.removeFiles(v)
		}
	}
}
