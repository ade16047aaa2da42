//go:build linux

package node

import "sync"

// busy are the targets that somebody works on.
type busy struct {
	mu      sync.Mutex
	targets map[string]bool
}

// take a target; false when somebody works on it.
func (b *busy) take(target string) (release func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.targets[target] {
		return nil, false
	}
	if b.targets == nil {
		b.targets = map[string]bool{}
	}
	b.targets[target] = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.targets, target)
	}, true
}
