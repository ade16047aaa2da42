//go:build linux

package fusefs

import "context"

// update brings the tree up to what is mounted now. Where that cannot be told it
// stays as it is: who is mounted goes on without masters.
//
// An application that was told that its data is there must find it, though this
// server may not have heard of it yet. So nothing that depends on what is not
// mounted is answered from memory.
func (f *fileSystem) update(ctx context.Context) {
	if err := f.source.Current(ctx); err != nil {
		f.log.Debug("what is mounted is not known to be current", "error", err)
	}
	f.refresh()
}

// refresh the tree from the source, and make the kernel forget what may have
// changed.
func (f *fileSystem) refresh() {
	f.refreshMu.Lock()
	defer f.refreshMu.Unlock()
	before := f.tree.Load()
	after := newTree(f.source.Mounts())
	f.tree.Store(after)
	for _, path := range changedMounts(before, after) {
		f.notifier.below(path)
		// Its name, and those above it, may have been found missing.
		for ; path != "/"; path, _ = split(path) {
			f.notifier.entry(path)
		}
	}
}

// changedMounts lists the paths of mounts that came, went or have another
// epoch. What mounts make above them has changed as well.
func changedMounts(before, after *tree) []string {
	var paths []string
	compare := func(a, b *tree) {
		for _, m := range a.mounts {
			same := false
			for _, other := range b.mounts {
				same = same || m.ID == other.ID && m.Path == other.Path && m.Epoch == other.Epoch
			}
			if !same {
				paths = append(paths, m.Path)
			}
		}
	}
	compare(before, after)
	compare(after, before)
	return paths
}
