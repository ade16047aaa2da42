//go:build linux

package fusefs

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// Codes of notifications and flags, as the kernel's fuse.h has them.
const (
	notifyInvalInode = 2
	notifyInvalEntry = 3
	expireOnly       = 1
)

// notifier makes the kernel forget names and attributes, from a goroutine of
// its own. Everything it says may be lost: what the kernel keeps runs out by
// itself.
type notifier struct {
	// notify gets messages to the kernel and waits until it has them.
	notify func(context.Context, [][]byte) error
	table  *table
	log    *slog.Logger
	// expire says that the kernel can look a name up anew without dropping
	// what is below it.
	expire atomic.Bool

	mu sync.Mutex
	// paths wait to be told; roots are directories below which everything is.
	paths []string
	roots map[string]bool
	wake  chan struct{}
}

// maxQueued bounds the names that wait.
const maxQueued = 64 << 10

func newNotifier(t *table, log *slog.Logger, tell func(context.Context, [][]byte) error) *notifier {
	return &notifier{table: t, log: log, notify: tell, roots: map[string]bool{}, wake: make(chan struct{}, 1)}
}

// entry makes the kernel look a name up again. It does not wait.
func (n *notifier) entry(path string) {
	n.mu.Lock()
	if len(n.paths) < maxQueued {
		n.paths = append(n.paths, path)
	}
	n.mu.Unlock()
	n.signal()
}

// below does so for everything that the kernel knows in a directory. It does
// not wait.
func (n *notifier) below(path string) {
	n.mu.Lock()
	n.roots[path] = true
	n.mu.Unlock()
	n.signal()
}

func (n *notifier) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run tells the kernel until the context ends.
func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		n.mu.Lock()
		paths, roots := n.paths, n.roots
		n.paths, n.roots = nil, map[string]bool{}
		n.mu.Unlock()
		b := batch{notifier: n}
		for _, path := range paths {
			_, dir := n.table.idOf(path)
			b.entry(ctx, path, dir)
		}
		for root := range roots {
			files, dirs := n.table.below(root)
			for _, path := range files {
				b.entry(ctx, path, false)
			}
			for _, d := range dirs {
				b.entry(ctx, d.path, true)
				b.add(ctx, invalInode(d.id))
			}
			n.log.Info("the kernel is told to look names up anew", "below", root, "files", len(files), "directories", len(dirs))
		}
		b.flush(ctx)
	}
}

// batch gathers messages up to what goes at once.
type batch struct {
	notifier *notifier
	messages [][]byte
	size     int
}

// entry drops a name. A directory's is only made to expire: dropping it would
// take working directories away from processes.
func (b *batch) entry(ctx context.Context, path string, dir bool) {
	n := b.notifier
	if path == "/" || dir && !n.expire.Load() {
		return
	}
	parent, name := split(path)
	if id, ok := n.table.idOf(parent); ok {
		b.add(ctx, invalEntry(id, name, n.expire.Load()))
	}
}

func (b *batch) add(ctx context.Context, message []byte) {
	if b.size+len(message) > fusefd.MaxNotify {
		b.flush(ctx)
	}
	b.messages = append(b.messages, message)
	b.size += len(message)
}

func (b *batch) flush(ctx context.Context) {
	if len(b.messages) > 0 && ctx.Err() == nil {
		if err := b.notifier.notify(ctx, b.messages); err != nil {
			b.notifier.log.Debug("telling the kernel", "error", err)
		}
	}
	b.messages, b.size = nil, 0
}

// notification begins a message: a reply to no request.
func notification(code int32, size int) []byte {
	b := make([]byte, 0, outHeaderSize+size)
	b = binary.NativeEndian.AppendUint32(b, uint32(outHeaderSize+size))
	b = binary.NativeEndian.AppendUint32(b, uint32(code))
	return binary.NativeEndian.AppendUint64(b, 0)
}

func invalEntry(parent uint64, name string, expire bool) []byte {
	b := notification(notifyInvalEntry, 16+len(name)+1)
	b = binary.NativeEndian.AppendUint64(b, parent)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(name)))
	flags := uint32(0)
	if expire {
		flags = expireOnly
	}
	b = binary.NativeEndian.AppendUint32(b, flags)
	return append(append(b, name...), 0)
}

// invalInode drops attributes and cached entries of a directory.
func invalInode(id uint64) []byte {
	b := notification(notifyInvalInode, 24)
	b = binary.NativeEndian.AppendUint64(b, id)
	b = binary.NativeEndian.AppendUint64(b, 0)
	return binary.NativeEndian.AppendUint64(b, 0)
}

// place is a directory that the kernel knows.
type place struct {
	id   uint64
	path string
}

// below answers what the kernel may know in a directory, itself included.
func (t *table) below(root string) (files []string, dirs []place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for path, n := range t.names {
		switch {
		case !below(path, root):
		case n.dir:
			dirs = append(dirs, place{id: n.id, path: path})
		default:
			files = append(files, path)
		}
	}
	return files, dirs
}

// idOf answers the nodeid of a directory that the kernel knows.
func (t *table) idOf(path string) (uint64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.names[path]
	if n == nil || !n.dir {
		return 0, false
	}
	return n.id, true
}
