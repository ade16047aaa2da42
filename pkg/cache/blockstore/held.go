package blockstore

import (
	"crypto/sha256"
	"errors"
)

// errLoading means that the versions on a tier are not known yet.
var errLoading = errors.New("the index of a tier is being loaded")

// Sum returns a hash of the key, by which [Store.Held] names its version.
func (k Key) Sum() [sha256.Size]byte { return k.hash() }

// Held returns the hashes of the versions of which bytes are cached or being
// fetched. It returns an error while a tier is not loaded.
func (s *Store) Held() ([][sha256.Size]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tiers {
		if !t.loaded {
			return nil, errLoading
		}
	}
	all := make([][sha256.Size]byte, 0, len(s.versions))
	for h, v := range s.versions {
		if v.npresent > 0 || len(v.pending) > 0 {
			all = append(all, h)
		}
	}
	return all, nil
}
