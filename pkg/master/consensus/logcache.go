package consensus

import (
	"errors"
	"sync"

	"github.com/hashicorp/raft"
)

// logCacheBytes bounds the cache, in bytes. It holds more than the library reads
// for one request to a peer while entries are as large as a server makes them,
// so that each is read from disk once though most are read for several requests.
const logCacheBytes = 48 << 20

// entryBytes is added to the size of each entry for its other fields.
const entryBytes = 128

// logCache caches the entries that were last written or read. In contrast to
// the library's it is bounded in bytes, and holds entries that a follower far
// behind needs. It is safe for concurrent use.
type logCache struct {
	raft.LogStore
	// anchor returns the term of an entry that only a snapshot has; see
	// Node.anchor. It may be nil.
	anchor func(index uint64) (term uint64, ok bool)

	mu      sync.Mutex
	entries map[uint64]*raft.Log
	// order holds the indexes in the order in which they were added.
	order []uint64
	size  int
	// generation counts the deletions, so that an entry that was read before
	// one is not added after it.
	generation uint64
}

func newLogCache(store raft.LogStore) *logCache {
	return &logCache{LogStore: store, entries: map[uint64]*raft.Log{}}
}

// GetLog implements raft.LogStore.
func (c *logCache) GetLog(index uint64, out *raft.Log) error {
	c.mu.Lock()
	cached, ok := c.entries[index]
	generation := c.generation
	c.mu.Unlock()
	if ok {
		*out = *cached
		return nil
	}
	if err := c.LogStore.GetLog(index, out); err != nil {
		if term, ok := c.anchored(index, err); ok {
			*out = raft.Log{Index: index, Term: term}
			return nil
		}
		return err
	}
	entry := *out
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation == generation {
		c.add(&entry)
	}
	return nil
}

func (c *logCache) anchored(index uint64, err error) (uint64, bool) {
	if c.anchor == nil || !errors.Is(err, raft.ErrLogNotFound) {
		return 0, false
	}
	return c.anchor(index)
}

// StoreLog implements raft.LogStore.
func (c *logCache) StoreLog(l *raft.Log) error { return c.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (c *logCache) StoreLogs(logs []*raft.Log) error {
	if err := c.LogStore.StoreLogs(logs); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	for _, l := range logs {
		c.add(l)
	}
	return nil
}

// DeleteRange implements raft.LogStore. The whole cache is dropped before the
// entries are.
func (c *logCache) DeleteRange(from, to uint64) error {
	c.drop()
	defer c.drop()
	return c.LogStore.DeleteRange(from, to)
}

func (c *logCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.order, c.size = nil, 0
	c.generation++
}

// add adds an entry, and evicts the ones that were added first. The caller
// holds the lock.
func (c *logCache) add(entry *raft.Log) {
	if old, ok := c.entries[entry.Index]; ok {
		c.size -= len(old.Data) + entryBytes
	} else {
		c.order = append(c.order, entry.Index)
	}
	c.entries[entry.Index] = entry
	c.size += len(entry.Data) + entryBytes
	for c.size > logCacheBytes && len(c.order) > 1 {
		oldest := c.order[0]
		c.order = c.order[1:]
		c.size -= len(c.entries[oldest].Data) + entryBytes
		delete(c.entries, oldest)
	}
}
