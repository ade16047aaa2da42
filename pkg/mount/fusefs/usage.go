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
	// wanted are the mounts whose totals are to be requested.
	wanted chan string

	// mu guards the field below, and the mounts in it.
	mu      sync.Mutex
	byMount map[string]*mountUsage
}

func newUsage() usage {
	return usage{wanted: make(chan string, 16), byMount: map[string]*mountUsage{}}
}

// mountUsage are the totals of one mount.
type mountUsage struct {
	totals reader.Totals
	// next is the earliest time of the next request.
	next time.Time
	// known is closed when the first request has ended.
	known  chan struct{}
	closed bool
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

// totals returns the totals of a mount without waiting for them. Only the first
// caller waits, for usageWait.
func (f *fileSystem) totals(mountID string) reader.Totals {
	u, first := f.wantTotals(mountID)
	if first {
		timer := time.NewTimer(f.config.waits.usage)
		defer timer.Stop()
		select {
		case <-u.known:
		case <-timer.C:
		}
	}
	f.usage.mu.Lock()
	defer f.usage.mu.Unlock()
	return u.totals
}

// wantTotals has the totals of a mount requested if they are old.
func (f *fileSystem) wantTotals(mountID string) (u *mountUsage, first bool) {
	f.usage.mu.Lock()
	defer f.usage.mu.Unlock()
	u = f.usage.byMount[mountID]
	if first = u == nil; first {
		u = &mountUsage{known: make(chan struct{})}
		f.usage.byMount[mountID] = u
	}
	if now := time.Now(); now.After(u.next) {
		select {
		case f.usage.wanted <- mountID:
			u.next = now.Add(usageTTL)
		default: // Enough requests are waiting.
		}
	}
	return u, first
}

// watchUsage requests the totals of mounts until the context ends. A request that
// fails keeps the last totals.
func (f *fileSystem) watchUsage(ctx context.Context) {
	source, ok := f.source.(totalsSource)
	for {
		var id string
		select {
		case <-ctx.Done():
			return
		case id = <-f.usage.wanted:
		}
		var totals reader.Totals
		var err error
		if ok {
			limited, cancel := context.WithTimeout(ctx, usageTimeout)
			totals, err = source.Totals(limited, id)
			cancel()
		}
		f.usage.set(id, totals, err == nil)
		if err != nil {
			f.log.Debug("the totals of a mount are not known", "mount", id, "error", err)
		}
	}
}

// set records the end of a request.
func (c *usage) set(mountID string, totals reader.Totals, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.byMount[mountID]
	if known {
		u.totals = totals
	}
	if !u.closed {
		u.closed = true
		close(u.known)
	}
}
