package blockstore

import (
	"errors"
	"io/fs"
	"time"
)

// lookup returns the version of a key, inserted if it is new. The caller must
// hold s.mu.
func (s *Store) lookup(key Key, h hash) *version {
	v := s.versions[h]
	if v != nil {
		return v
	}
	v = newVersion(key, h, s.config.BlockSize)
	v.made = s.config.Now().UnixNano()
	s.insert(v)
	return v
}

func (s *Store) insert(v *version) {
	s.versions[v.hash] = v
	o := v.key.object()
	h := s.objects[o]
	if h == nil {
		h = &history{}
		s.objects[o] = h
	}
	h.add(v)
}

// forget removes a version from the index. Its files and its charge stay until
// removeFiles and release. The caller must hold s.mu.
func (s *Store) forget(v *version) {
	if v.removed {
		return
	}
	delete(s.versions, v.hash)
	if h := s.objects[v.key.object()]; h.remove(v) {
		delete(s.objects, v.key.object())
	}
	s.detach(v)
}

// detach takes a version that is not in the index any more out of its tier. The
// caller must hold s.mu.
func (s *Store) detach(v *version) {
	v.removed = true
	s.recallRemoved(v)
	if v.tier != nil {
		v.tier.evict.remove(v)
		delete(v.tier.unsealed, v)
	}
	if v.created {
		// Their names must not be used again before the files are unlinked,
		// because a borrower may still have them open.
		v.tier.removing[v.hash]++
		v.tier.filesHere--
		if v.sealed {
			v.tier.sealedHere--
		}
	} else {
		v.unlinked = true
	}
	s.settle(v)
}

// markCurrent records that the object store has just returned this version:
// other versions of the object expire soon. The caller must hold s.mu.
func (s *Store) markCurrent(v *version) {
	if !v.removed {
		s.objects[v.key.object()].setCurrent(v, s.supersede)
	}
	if !v.expires.IsZero() && !v.temporary {
		v.expires = time.Time{}
		if v.tier != nil {
			v.tier.evict.undoom(v)
		}
	}
}

// supersede lets a version expire. The caller must hold s.mu.
func (s *Store) supersede(v *version) {
	if !v.expires.IsZero() {
		return
	}
	v.expires = s.config.Now().Add(s.config.Superseded)
	if v.tier != nil {
		v.tier.evict.doom(v)
	}
}

// makePermanent turns a copy that was held for another worker into one of this
// worker. Its sidecar still marks it as temporary, so it does not survive a
// restart. The caller must hold s.mu.
func (s *Store) makePermanent(v *version) {
	v.temporary, v.expires = false, time.Time{}
	if v.tier != nil {
		v.tier.evict.undoom(v)
	}
}

// release drops one reference. The caller must hold s.mu.
func (s *Store) release(v *version) {
	v.refs--
	s.settle(v)
}

// settle forgets a version that holds nothing, returns the charge of a removed
// version once its files are not in use, and lets a version that is not in use
// any more be evicted. The caller must hold s.mu.
func (s *Store) settle(v *version) {
	if !v.removed && v.idle() && v.npresent == 0 && len(v.dirty) == 0 && !v.created {
		s.forget(v)
		return
	}
	if v.tier == nil {
		return
	}
	if !v.removed {
		v.tier.evict.relist(v)
		return
	}
	if v.unlinked && v.evicted {
		// From here on its bytes are freed when its last reader closes the file.
		v.evicted = false
		v.tier.evicting -= v.charged
		s.freed.Broadcast()
	}
	if v.unlinked && v.refs == 0 && !v.writing && v.charged != 0 {
		v.charge(-v.charged)
	}
}

// discard removes a version whose bytes are wrong or unreadable.
func (s *Store) discard(v *version, why error) {
	s.mu.Lock()
	was := v.removed
	if was && errors.Is(why, fs.ErrNotExist) {
		// It was moved or evicted before it was opened.
		s.mu.Unlock()
		return
	}
	s.forget(v)
	if !was {
		s.counts.Discarded++
	}
	if v.tier != nil {
		s.revoke(v.tier, v)
	}
	s.mu.Unlock()
	if was {
		return
	}
	s.config.Logger.Warn("discarding a cached version", "mount", v.key.Mount, "key", v.key.Key, "reason", why)
	s.removeFiles(v)
}

// Forget drops every version of an object that is not in use, and one with idle loans
// when these have been returned. Call it after the object store has reported that the
// object changed or was deleted.
func (s *Store) Forget(mount, key string) {
	var victims []*version
	s.mu.Lock()
	if h := s.objects[object{mount, key}]; h != nil {
		for _, v := range append([]*version(nil), h.versions...) {
			switch {
			case v.idle() && len(v.parked) > 0:
				s.recall(v, s.forget)
			case v.idle():
				s.forget(v)
				victims = append(victims, v)
			}
		}
	}
	s.mu.Unlock()
	s.removeFiles(victims...)
}
