//go:build linux

package fusefs

import "context"

// update brings the tree up to date with the masters. When the masters are
// unreachable the tree stays as it is: existing mounts work without masters.
//
// An application that has been notified that its data is mounted must find it,
// although this server may not know of the mount yet. Therefore no reply that
// depends on the absence of a mount is made from the cached tree alone.
func (f *fileSystem) update(ctx context.Context) {
	if err := f.source.Current(ctx); err != nil {
		f.log.Debug("the mounts may be out of date", "error", err)
	}
	f.refresh()
}

// refresh replaces the tree by one with the source's current mounts, and
// invalidates the kernel's cached names that may have changed.
func (f *fileSystem) refresh() {
	f.refreshMu.Lock()
	defer f.refreshMu.Unlock()
	before := f.tree.Load()
	after := newTree(f.source.Mounts())
	f.tree.Store(after)
	for _, path := range changedMounts(before, after) {
		f.listings.dropBelow(path)
		f.notifier.below(path)
		// The kernel may have cached that the mount's path, or a directory above
		// it, does not exist.
		for ; path != "/"; path, _ = split(path) {
			f.notifier.entry(path)
		}
	}
}

// changedMounts returns the paths of the mounts that were added, removed or have
// another epoch. The directories above these mounts may have changed too.
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
