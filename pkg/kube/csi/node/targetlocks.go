//go:build linux

package node

import "sync"

// targetLocks are locks by target path.
type targetLocks struct {
	mu     sync.Mutex
	locked map[string]bool
}

// tryLock locks a target. It returns false if the target is locked already.
func (b *targetLocks) tryLock(target string) (release func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.locked[target] {
		return nil, false
	}
	if b.locked == nil {
		b.locked = map[string]bool{}
	}
	b.locked[target] = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.locked, target)
	}, true
}
