//go:build linux

package fusefs

import (
	"context"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// totalsSource is a Source that has the totals of mounts.
type totalsSource interface {
	Totals(ctx context.Context, mountID string) (reader.Totals, error)
}

var _ totalsSource = (*reader.Reader)(nil)

const (
	// freeBlocks and freeFiles are reported as free. An object store has no size;
	// without free space monitoring takes the mount for full.
	freeBlocks = 1 << 38 // 1 PiB
	freeFiles  = 1 << 32
	// usageTTL is the age at which the totals of a mount are requested again.
	usageTTL = 30 * time.Second
	// usageTimeout bounds such a request, usageWait the time for which the first
	// statfs waits for it. Later ones do not wait: statfs is also how a holder
	// checks that its mount responds.
	usageTimeout = 10 * time.Second
	usageWait    = 250 * time.Millisecond
)

// usage caches the totals of mounts. It is safe for concurrent use.
type usage struct {
	mu      sync.Mutex
	byMount map[string]*mountUsage
}

// mountUsage are the totals of one mount. usage.mu guards it.
type mountUsage struct {
	totals reader.Totals
	// next is the earliest time of the next request.
	next time.Time
	// known is closed when the first request has ended.
	known chan struct{}
}

// StatFs reports as used what the store holds, as far as it is known: the bytes
// and objects of the mount, or of all mounts below a directory above mounts.
func (f *fileSystem) StatFs(_ <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	path := "/"
	if n, ok := f.table.node(header.NodeId); ok {
		path = n.path
	}
	var blocks, files uint64
	for _, m := range f.tree.Load().mounts {
		if below(m.Path, path) || below(path, m.Path) {
			t := f.totals(m.ID)
			blocks += (uint64(max(t.Bytes, 0)) + blockSize - 1) / blockSize
			files += uint64(max(t.Objects, 0))
		}
	}
	*out = fuse.StatfsOut{
		Bsize: blockSize, Frsize: blockSize, NameLen: nameMax,
		Blocks: blocks + freeBlocks, Bfree: freeBlocks, Bavail: freeBlocks,
		Files: files + freeFiles, Ffree: freeFiles,
	}
	return fuse.OK
}

// totals returns the totals of a mount without waiting for them, except for the
// first time.
func (f *fileSystem) totals(mountID string) reader.Totals {
	source, ok := f.source.(totalsSource)
	if !ok {
		return reader.Totals{}
	}
	f.usage.mu.Lock()
	if f.usage.byMount == nil {
		f.usage.byMount = map[string]*mountUsage{}
	}
	u := f.usage.byMount[mountID]
	if u == nil {
		u = &mountUsage{known: make(chan struct{})}
		f.usage.byMount[mountID] = u
	}
	now := time.Now()
	first := u.next.IsZero()
	if now.After(u.next) {
		u.next = now.Add(max(usageTTL, usageTimeout))
		go f.requestTotals(source, mountID, u, first)
	}
	f.usage.mu.Unlock()
	timer := time.NewTimer(usageWait)
	defer timer.Stop()
	select {
	case <-u.known:
	case <-timer.C:
	}
	f.usage.mu.Lock()
	defer f.usage.mu.Unlock()
	return u.totals
}

// requestTotals updates the totals of a mount. A request that fails keeps them.
func (f *fileSystem) requestTotals(source totalsSource, mountID string, u *mountUsage, first bool) {
	ctx, cancel := context.WithTimeout(context.Background(), usageTimeout)
	defer cancel()
	totals, err := source.Totals(ctx, mountID)
	f.usage.mu.Lock()
	defer f.usage.mu.Unlock()
	if err != nil {
		f.log.Debug("the totals of a mount are not known", "mount", mountID, "error", err)
	} else {
		u.totals = totals
	}
	if first {
		close(u.known)
	}
}
