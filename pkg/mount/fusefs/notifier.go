//go:build linux

package fusefs

import (
	"context"
	"encoding/binary"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// Codes and flags of notifications, from the kernel's include/uapi/linux/fuse.h.
const (
	notifyInvalInode = 2
	notifyInvalEntry = 3
	notifyIncEpoch   = 8
	expireOnly       = 1
)

// notifier invalidates names and attributes that the kernel has cached, from a
// separate goroutine. It sends an invalidation again until the holder has accepted
// it. Its methods are safe for concurrent use.
type notifier struct {
	// notify sends messages to the kernel and returns when the kernel has
	// accepted them.
	notify func(context.Context, [][]byte) error
	table  *table
	log    *slog.Logger
	// expire reports whether the kernel supports expiring a name without
	// dropping the names below it (FUSE_EXPIRE_ONLY).
	expire atomic.Bool

	// pause is the time after which a failed notification is sent again for the first
	// time.
	pause time.Duration

	// mu guards queue.
	mu    sync.Mutex
	queue invalidations
	wake  chan struct{}
}

// invalidations are what the kernel is to drop.
type invalidations struct {
	// paths are names, and roots directories of which all names are invalidated.
	paths []string
	roots map[string]bool
	// inodes are the nodeids of files, of which all pages are invalidated. Each is there
	// once: the kernel would drop again what was read between.
	inodes map[uint64]bool
	// epoch is set when the kernel is to look up every name again.
	epoch bool
	// sent are closed when the kernel has accepted all of the above.
	sent []chan struct{}
}

const (
	// maxQueued bounds the number of queued names. When there are more, all names are
	// invalidated.
	maxQueued = 64 << 10
	// notifyPause is the time after which a failed notification is sent again, at
	// first, and maxNotifyPause after many failures. The holder of the mount may be
	// away while it is replaced.
	notifyPause    = 100 * time.Millisecond
	maxNotifyPause = 10 * time.Second
)

func newNotifier(t *table, log *slog.Logger, notify func(context.Context, [][]byte) error) *notifier {
	return &notifier{
		table: t, log: log, notify: notify, pause: notifyPause,
		queue: newInvalidations(), wake: make(chan struct{}, 1),
	}
}

func newInvalidations() invalidations {
	return invalidations{roots: map[string]bool{}, inodes: map[uint64]bool{}}
}

// entry queues the invalidation of one name. It does not block.
func (n *notifier) entry(path string) {
	n.mu.Lock()
	n.queue.paths = append(n.queue.paths, path)
	n.queue.limit()
	n.mu.Unlock()
	n.signal()
}

// entryDone is like entry. The channel that it returns is closed when the kernel has
// accepted the invalidation. A request may wait for it, with a deadline: the kernel
// may require the reply to another request of the directory first.
func (n *notifier) entryDone(path string) <-chan struct{} {
	sent := make(chan struct{})
	n.mu.Lock()
	n.queue.paths, n.queue.sent = append(n.queue.paths, path), append(n.queue.sent, sent)
	n.queue.limit()
	n.mu.Unlock()
	n.signal()
	return sent
}

// limit replaces names by the root if there are too many.
func (i *invalidations) limit() {
	if len(i.paths) > maxQueued {
		i.paths, i.roots["/"] = nil, true
	}
}

// pages queues the invalidation of the attributes and all cached pages of a file. It
// does not block. The kernel waits for pages that are being read: the holder writes
// the notification, so that this server continues to serve these reads.
func (n *notifier) pages(id uint64) {
	n.mu.Lock()
	if len(n.queue.inodes) < maxQueued {
		n.queue.inodes[id] = true
	}
	n.mu.Unlock()
	n.signal()
}

// epoch queues that the kernel looks up every name again. It does not block. Kernels
// before 6.16 reject it.
func (n *notifier) epoch() {
	n.mu.Lock()
	n.queue.epoch = true
	n.mu.Unlock()
	n.signal()
}

// below queues the invalidation of a directory and of all known names below it.
// It does not block.
func (n *notifier) below(path string) {
	n.mu.Lock()
	n.queue.roots[path] = true
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
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		work := n.take()
		err := n.send(ctx, work)
		if err == nil {
			failures = 0
			for _, sent := range work.sent {
				close(sent)
			}
			continue
		}
		n.restore(work)
		pause := min(n.pause<<min(failures, 16), maxNotifyPause)
		n.log.Debug("notify the kernel failed; it is repeated", "names", len(work.paths), "pause", pause, "error", err)
		failures++
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			n.signal()
		}
	}
}

// take returns what is queued, and empties the queue.
func (n *notifier) take() invalidations {
	n.mu.Lock()
	defer n.mu.Unlock()
	work := n.queue
	n.queue = newInvalidations()
	return work
}

// restore queues invalidations again that were not sent.
func (n *notifier) restore(work invalidations) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue.paths = append(work.paths, n.queue.paths...)
	maps.Copy(n.queue.inodes, work.inodes)
	n.queue.sent = append(work.sent, n.queue.sent...)
	n.queue.epoch = n.queue.epoch || work.epoch
	maps.Copy(n.queue.roots, work.roots)
	n.queue.limit()
}

// send sends invalidations to the kernel. It may send some of them when it fails.
func (n *notifier) send(ctx context.Context, work invalidations) error {
	b := batch{notifier: n}
	if work.epoch {
		b.add(ctx, notification(notifyIncEpoch, 0))
	}
	for _, path := range work.paths {
		_, dir := n.table.idOf(path)
		b.entry(ctx, path, dir)
	}
	for id := range work.inodes {
		b.add(ctx, invalInode(id))
	}
	for root := range work.roots {
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
	return b.failed
}

// batch collects messages up to fusefd.MaxNotify bytes. It must be used by one
// goroutine.
type batch struct {
	notifier *notifier
	messages [][]byte
	size     int
	// failed is the first error. Nothing is sent after it.
	failed error
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
	if b.failed != nil {
		return
	}
	if b.size+len(message) > fusefd.MaxNotify {
		b.flush(ctx)
	}
	b.messages = append(b.messages, message)
	b.size += len(message)
}

// flush sends the collected messages.
func (b *batch) flush(ctx context.Context) {
	if len(b.messages) > 0 && b.failed == nil {
		b.failed = b.notifier.notify(ctx, b.messages)
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
// kernel, including root. Those that become known meanwhile may be absent. The name
// of a stale file may be cached by the kernel too.
func (t *table) below(root string) (files []string, dirs []knownDir) {
	if root == "/" {
		dirs = append(dirs, knownDir{id: rootID, path: root})
	}
	t.mu.Lock()
	end := uint32(len(t.arena.chunks)) * chunkSlots
	t.mu.Unlock()
	t.inSteps(end, func(slot uint32) {
		switch n, ok := t.nodeWith(slot, flagNamed|flagStale); {
		case !ok || !below(n.path, root):
		case n.dir:
			dirs = append(dirs, knownDir{id: n.id, path: n.path})
		default:
			files = append(files, n.path)
		}
	})
	return files, dirs
}

// nodeWith returns the node of a slot if it has one of the flags. The caller must hold
// the lock.
func (t *table) nodeWith(slot uint32, flags uint16) (node, bool) {
	if !t.arena.holds(slot) {
		return node{}, false
	}
	head := t.arena.slot(slot)
	if head[kindAt] != kindNode || decodeState(head).flags&flags == 0 {
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
