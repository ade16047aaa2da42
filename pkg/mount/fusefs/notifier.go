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

// Codes and flags of notifications, from the kernel's include/uapi/linux/fuse.h.
const (
	notifyInvalInode = 2
	notifyInvalEntry = 3
	expireOnly       = 1
)

// notifier invalidates names and attributes that the kernel has cached, from a
// separate goroutine. Notifications may be lost: cached names and attributes
// expire after their timeout anyway. Its methods are safe for concurrent use.
type notifier struct {
	// notify sends messages to the kernel and returns when the kernel has
	// accepted them.
	notify func(context.Context, [][]byte) error
	table  *table
	log    *slog.Logger
	// expire reports whether the kernel supports expiring a name without
	// dropping the names below it (FUSE_EXPIRE_ONLY).
	expire atomic.Bool

	// mu guards the fields below, except wake.
	mu sync.Mutex
	// paths are the queued names. roots are the queued directories, of which
	// all names are invalidated.
	paths []string
	roots map[string]bool
	// inodes are the queued nodeids of files, of which all pages are invalidated.
	inodes []uint64
	wake   chan struct{}
}

// maxQueued bounds the number of queued names; further names are dropped.
const maxQueued = 64 << 10

func newNotifier(t *table, log *slog.Logger, notify func(context.Context, [][]byte) error) *notifier {
	return &notifier{table: t, log: log, notify: notify, roots: map[string]bool{}, wake: make(chan struct{}, 1)}
}

// entry queues the invalidation of one name. It does not block.
func (n *notifier) entry(path string) {
	n.mu.Lock()
	if len(n.paths) < maxQueued {
		n.paths = append(n.paths, path)
	}
	n.mu.Unlock()
	n.signal()
}

// pages queues the invalidation of the attributes and all cached pages of a file. It
// does not block. The kernel waits for pages that are being read: the holder writes
// the notification, so that this server continues to serve these reads.
func (n *notifier) pages(id uint64) {
	n.mu.Lock()
	if len(n.inodes) < maxQueued {
		n.inodes = append(n.inodes, id)
	}
	n.mu.Unlock()
	n.signal()
}

// below queues the invalidation of a directory and of all known names below it.
// It does not block.
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

// run sends queued invalidations to the kernel until the context ends.
func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		n.mu.Lock()
		paths, roots, inodes := n.paths, n.roots, n.inodes
		n.paths, n.roots, n.inodes = nil, map[string]bool{}, nil
		n.mu.Unlock()
		b := batch{notifier: n}
		for _, path := range paths {
			_, dir := n.table.idOf(path)
			b.entry(ctx, path, dir)
		}
		for _, id := range inodes {
			b.add(ctx, invalInode(id))
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
			n.log.Info("invalidating names in the kernel", "below", root, "files", len(files), "directories", len(dirs))
		}
		b.flush(ctx)
	}
}

// batch collects messages up to fusefd.MaxNotify bytes. It must be used by one
// goroutine.
type batch struct {
	notifier *notifier
	messages [][]byte
	size     int
}

// entry adds the invalidation of a name. The name of a directory is only expired:
// dropping it would unlink the working directories of processes.
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

// flush sends the collected messages.
func (b *batch) flush(ctx context.Context) {
	if len(b.messages) > 0 && ctx.Err() == nil {
		if err := b.notifier.notify(ctx, b.messages); err != nil {
			b.notifier.log.Debug("notify the kernel failed", "error", err)
		}
	}
	b.messages, b.size = nil, 0
}

// notification returns the header of a notification with a body of size bytes: a
// reply with request id 0, as fuse.h defines it.
func notification(code int32, size int) []byte {
	b := make([]byte, 0, outHeaderSize+size)
	b = binary.NativeEndian.AppendUint32(b, uint32(outHeaderSize+size))
	b = binary.NativeEndian.AppendUint32(b, uint32(code))
	return binary.NativeEndian.AppendUint64(b, 0)
}

// invalEntry returns a notification that drops or expires a name.
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

// invalInode returns a notification that drops the cached attributes of an inode,
// and the entries of a directory or the pages of a file.
func invalInode(id uint64) []byte {
	b := notification(notifyInvalInode, 24)
	b = binary.NativeEndian.AppendUint64(b, id)
	b = binary.NativeEndian.AppendUint64(b, 0)
	return binary.NativeEndian.AppendUint64(b, 0)
}

// knownDir is a directory that is known to the kernel.
type knownDir struct {
	id   uint64
	path string
}

// below returns the files and directories below root that are known to the
// kernel, including root. Those that become known meanwhile may be absent.
func (t *table) below(root string) (files []string, dirs []knownDir) {
	if root == "/" {
		dirs = append(dirs, knownDir{id: rootID, path: root})
	}
	t.mu.Lock()
	end := uint32(len(t.arena.chunks)) * chunkSlots
	t.mu.Unlock()
	t.inSteps(end, func(slot uint32) {
		switch n, ok := t.namedNode(slot); {
		case !ok || !below(n.path, root):
		case n.dir:
			dirs = append(dirs, knownDir{id: n.id, path: n.path})
		default:
			files = append(files, n.path)
		}
	})
	return files, dirs
}

// namedNode returns the node of a slot if it is the newest of its path. The caller
// must hold the lock.
func (t *table) namedNode(slot uint32) (node, bool) {
	if !t.arena.holds(slot) {
		return node{}, false
	}
	head := t.arena.slot(slot)
	if head[kindAt] != kindNode || decodeState(head).flags&flagNamed == 0 {
		return node{}, false
	}
	r, err := t.arena.read(slot)
	if err != nil {
		return node{}, false
	}
	n, err := r.node()
	return n, err == nil
}

// idOf returns the nodeid of a directory that is known to the kernel.
func (t *table) idOf(path string) (uint64, bool) {
	if path == "/" {
		return rootID, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, false
	}
	_, n, ok := t.findPath(path)
	return n.id, ok && n.dir
}
