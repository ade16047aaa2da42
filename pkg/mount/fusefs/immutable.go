//go:build linux

package fusefs

import (
	"context"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// A mount with the immutable profile is for files that are never replaced. OPEN and
// FLUSH fail with ENOSYS, which the kernel remembers for the connection: from then
// on it opens and closes files itself. A file whose pages, attributes and name it
// has cached is opened, read and closed without a request. A READ has no handle and
// is identified by its nodeid; see nodeFiles. The kernel does not report the opens
// that passthrough mode starts with, so that it reads no files itself.
//
// The profile must be the same for all servers of a mount, because the kernel does
// not send OPEN again. It is a feature of the table, which a successor keeps
// independently of its Config, and which a version without the profile refuses.
//
// If a file is replaced nevertheless, its nodeid keeps its version, as on any mount.
// The kernel finds out when it looks up the name again: after the timeout, when the
// mount's epoch changes, or when a read has found that the version does not exist
// any more, which fails with ESTALE. OPEN cannot refuse a stale node here, so that
// invalidations of names must not be lost: the notifier repeats them until the
// holder has accepted them, and a successor repeats those of all stale nodes.
//
// A READ without a handle is served on every mount, because a server that finds the
// table damaged cannot know the profile.

// staleWait bounds the time for which a read of a version that does not exist any
// more waits for the invalidation of its name, so that an application that opens
// the file again afterwards gets the new version.
const staleWait = 2 * time.Second

// setProfile returns whether the mount has the immutable profile. The first server
// decides, before the kernel has connected.
func (t *table) setProfile(immutable, negotiated bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	recorded := t.header.features&featureImmutable != 0
	if negotiated || recorded == immutable || t.closed {
		return recorded
	}
	t.header.features ^= featureImmutable
	t.writeHeader()
	return immutable
}

// writeHeader writes the header and its copy. The caller must hold the lock. A server
// killed in between leaves one of the two valid.
func (t *table) writeHeader() {
	copy(t.arena.prologue, t.header.encode())
	copy(t.arena.prologue[headerCopyAt:], t.header.encode())
}

// chooseProfile sets the profile of the mount.
func (s *Server) chooseProfile(t *table) (immutable bool) {
	request, _ := s.attachment.Slots.Init()
	negotiated := len(request) >= inHeaderSize
	t.lost = t.lost && negotiated
	immutable = t.setProfile(s.config.Immutable, negotiated)
	switch {
	case immutable && !s.config.Immutable:
		s.log.Warn("the mount keeps its immutable profile, which was configured when it was made; mount again to end it")
	case !immutable && s.config.Immutable:
		s.log.Warn("the mount was made without the immutable profile; mount again to use it")
	case immutable:
		s.log.Info("the mount has the immutable profile: the kernel opens files without a request, and does not read sealed files itself")
	}
	return immutable
}

// beginKnown returns the handle of a READ, or the shared one of its node if the kernel
// has opened the file itself; nil if there is none. find returns a handle. The caller
// must call endRead.
func (f *fileSystem) beginKnown(in readRequest, find func(uint64) (*handle, bool)) *handle {
	if in.handle != 0 {
		if h, ok := find(in.handle); ok && !h.dir {
			return h
		}
		return nil
	}
	if shared := f.nodes.begin(in.node); shared != nil {
		return &shared.handle
	}
	return nil
}

// beginRead is like beginKnown, and makes the shared handle of a node if there is none.
func (f *fileSystem) beginRead(in readRequest) (*handle, fuse.Status) {
	if h := f.beginKnown(in, f.table.handle); h != nil {
		return h, fuse.OK
	}
	if in.handle != 0 {
		return nil, fuse.EBADF
	}
	n, ok := f.table.node(in.node)
	switch {
	case !ok:
		return nil, estale
	case n.dir:
		return nil, fuse.EISDIR
	}
	return &f.nodes.beginNode(n).handle, fuse.OK
}

// endRead ends a read of n bytes. A file that was read by one request is not kept: its
// pages are in the kernel now.
func (f *fileSystem) endRead(h *handle, n int) {
	if h.shared == nil {
		return
	}
	if int64(n) == h.version.Size {
		f.nodes.drop(h.node)
	}
	f.nodes.end(h.shared, time.Now())
}

// forget processes a FORGET.
func (f *fileSystem) forget(unique uint64, list []forgetEntry) {
	f.table.forget(unique, list)
	if !f.immutable {
		return
	}
	for _, e := range list {
		f.nodes.drop(e.node)
	}
}

// invalidate invalidates the name of a version that does not exist any more.
func (f *fileSystem) invalidate(ctx context.Context, path string, v reader.Version) {
	if !f.immutable {
		f.notifier.entry(path)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, f.config.waits.stale)
	defer cancel()
	select {
	case <-f.notifier.entryDone(path):
	case <-ctx.Done():
		f.log.Debug("the name of a file that was replaced is not invalidated yet", "path", path, "etag", v.ETag, "error", ctx.Err())
	}
}

// repeatStale invalidates the names of all stale nodes again, because a predecessor
// may have been killed before it did.
func (f *fileSystem) repeatStale() {
	for _, path := range f.table.stalePaths() {
		f.notifier.entry(path)
	}
}

// forgetLost makes the kernel look up all names again after the table was lost. OPEN
// would fail with ESTALE for a lost node, after which the kernel looks up its name,
// but the kernel may not send OPEN. A lookup returns another nodeid for a directory in
// the root, after which no node below it is used any more.
func (f *fileSystem) forgetLost(ctx context.Context) {
	f.notifier.epoch()
	// Kernels before 6.16 have no epochs.
	tree := f.tree.Load()
	for _, name := range tree.mountNames("/") {
		f.notifier.entry(join("/", name))
	}
	after, names := "", 0
	for more := true; more && names < maxQueued/2; {
		page, err := tree.list(ctx, f.source, "/", after)
		if err != nil || len(page.Entries) == 0 {
			return
		}
		for _, e := range page.Entries {
			f.notifier.entry(join("/", e.Name))
		}
		after, more, names = page.Entries[len(page.Entries)-1].Name, page.More, names+len(page.Entries)
	}
}

// stalePaths returns the paths of the files of which the kernel knows a version that
// is stale.
func (t *table) stalePaths() (paths []string) {
	t.mu.Lock()
	end := uint32(len(t.arena.chunks)) * chunkSlots
	t.mu.Unlock()
	t.inSteps(end, func(slot uint32) {
		if n, ok := t.nodeWith(slot, flagStale); ok && !n.dir {
			paths = append(paths, n.path)
		}
	})
	return paths
}

func registerProfileMetrics(registry prometheus.Registerer, s *Server) {
	if registry == nil {
		return
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	is := func(b bool) func() float64 {
		return func() float64 {
			if b {
				return 1
			}
			return 0
		}
	}
	registry.MustRegister(
		gauge("jindo_fuse_immutable", "1 if the mount has the immutable profile.", is(s.files.immutable)),
		gauge("jindo_fuse_remount_needed", "1 if the mount has another profile than the flags of its server request.", is(s.files.immutable != s.config.Immutable)),
		gauge("jindo_fuse_node_files", "Files that are open although the kernel does not report opens, as on mounts with the immutable profile.",
			func() float64 { return float64(s.files.nodes.count()) }),
	)
}
