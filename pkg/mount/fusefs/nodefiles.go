//go:build linux

package fusefs

import (
	"container/list"
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxNodeFiles bounds the files that are open without a handle and that no read
	// in progress uses.
	maxNodeFiles = 1024
	// nodeFileIdle is the time since its last read after which such a file is closed.
	nodeFileIdle = 10 * time.Second
)

// nodeFiles holds the open files of nodes that the kernel reads without a handle:
// on a mount with the immutable profile the kernel reports neither the open nor the
// release of a file. A file is opened by the first read of its node. It is closed
// when it has not been read for some time, when others are read more recently than
// it and there are too many, and when the kernel forgets its node. The next read
// opens it again, with the same version, because a nodeid identifies one. Its
// methods are safe for concurrent use.
//
// Invariants: a file is not closed while a read uses it. A file in idle is in byNode
// and has no readers.
type nodeFiles struct {
	limit int
	idle  time.Duration
	log   *slog.Logger

	mu     sync.Mutex
	byNode map[uint64]*nodeFile
	// unused holds the files without readers, the least recently read first.
	unused *list.List
}

// nodeFile is the file of a node. The mutex of nodeFiles guards its fields, except
// those of the handle, which has no id.
type nodeFile struct {
	handle  handle
	readers int
	read    time.Time
	// element is that of unused, nil while the file has readers.
	element *list.Element
	// dropped is set when the file is to be closed by its last reader.
	dropped bool
}

func newNodeFiles(log *slog.Logger) *nodeFiles {
	return &nodeFiles{limit: maxNodeFiles, idle: nodeFileIdle, log: log, byNode: map[uint64]*nodeFile{}, unused: list.New()}
}

// begin begins a read of a node that has a file, and returns nil if it has none. The
// caller must call end.
func (c *nodeFiles) begin(id uint64) *nodeFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.use(id)
}

// use adds a reader to the file of a node. The caller must hold the lock.
func (c *nodeFiles) use(id uint64) *nodeFile {
	f := c.byNode[id]
	if f == nil {
		return nil
	}
	f.readers++
	if f.element != nil {
		c.unused.Remove(f.element)
		f.element = nil
	}
	return f
}

// beginNode is like begin, and creates the file of the node if there is none.
func (c *nodeFiles) beginNode(n node) *nodeFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.use(n.id); f != nil {
		return f
	}
	f := &nodeFile{handle: handle{node: n.id, path: n.path, version: n.version}, readers: 1}
	f.handle.shared = f
	c.byNode[n.id] = f
	return f
}

// end ends a read, and closes files that are not needed any more.
func (c *nodeFiles) end(f *nodeFile, now time.Time) {
	c.mu.Lock()
	f.readers--
	f.read = now
	var closed []*nodeFile
	switch {
	case f.readers > 0:
	case f.dropped:
		closed = append(closed, f)
	default:
		f.element = c.unused.PushBack(f)
	}
	for c.unused.Len() > c.limit {
		closed = append(closed, c.remove(c.unused.Front()))
	}
	c.mu.Unlock()
	c.close(closed)
}

// remove removes a file without readers. The caller must hold the lock, and close
// the file without it.
func (c *nodeFiles) remove(e *list.Element) *nodeFile {
	f := c.unused.Remove(e).(*nodeFile)
	f.element = nil
	delete(c.byNode, f.handle.node)
	return f
}

// drop closes the file of a node, if there is one, when no read uses it any more. A
// later read opens another one.
func (c *nodeFiles) drop(id uint64) {
	c.mu.Lock()
	f := c.byNode[id]
	if f == nil {
		c.mu.Unlock()
		return
	}
	delete(c.byNode, id)
	if f.element == nil {
		f.dropped = true
		c.mu.Unlock()
		return
	}
	c.unused.Remove(f.element)
	f.element = nil
	c.mu.Unlock()
	c.close([]*nodeFile{f})
}

// sweep closes the files that were not read since a time.
func (c *nodeFiles) sweep(before time.Time) {
	c.mu.Lock()
	var closed []*nodeFile
	for e := c.unused.Front(); e != nil && !e.Value.(*nodeFile).read.After(before); e = c.unused.Front() {
		closed = append(closed, c.remove(e))
	}
	c.mu.Unlock()
	c.close(closed)
}

// run closes idle files until the context ends.
func (c *nodeFiles) run(ctx context.Context) {
	tick := time.NewTicker(c.idle / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.sweep(now.Add(-c.idle))
		}
	}
}

// closeAll closes all files. No read may be in progress.
func (c *nodeFiles) closeAll() {
	c.mu.Lock()
	var closed []*nodeFile
	for e := c.unused.Front(); e != nil; e = c.unused.Front() {
		closed = append(closed, c.remove(e))
	}
	c.mu.Unlock()
	c.close(closed)
}

func (c *nodeFiles) close(files []*nodeFile) {
	for _, f := range files {
		if err := f.handle.open.close(); err != nil {
			c.log.Debug("close file failed", "path", f.handle.path, "error", err)
		}
	}
}

// count returns the number of files.
func (c *nodeFiles) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byNode)
}
