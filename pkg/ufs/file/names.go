package file

import (
	"io/fs"
	"slices"
	"sync"
	"syscall"
	"time"
)

// nameCache holds the sorted names of the directories that were read last, so
// that paging through a large directory reads it once and not once for each page.
// An entry is used only while the directory is unchanged.
type nameCache struct {
	mu      sync.Mutex
	entries []cachedNames // the most recently used last
}

// cachedNames are the cached names of one directory.
type cachedNames struct {
	id    identity
	mtime int64
	ctime int64
	names []string
}

const (
	// cachedDirs limits the number of directories, minCached is the least number
	// of names worth caching, and maxCached limits the names of one directory
	// (about 50 bytes each).
	cachedDirs = 4
	minCached  = 1000
	maxCached  = 1 << 20
)

// read returns the names in dir in the order of keys: the name of a directory
// ends with a slash.
func (c *nameCache) read(root *tree, dir string) ([]string, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	before, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if names := c.get(before); names != nil {
		return names, nil
	}
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	names, linked := sortedNames(root, dir, entries)
	if len(names) >= minCached && len(names) <= maxCached && !linked && settled(before) {
		c.put(before, names)
	}
	return names, nil
}

// settled reports whether a later change will be visible in the directory's
// times, which advance in ticks.
func settled(info fs.FileInfo) bool {
	return time.Since(time.Unix(0, max(info.ModTime().UnixNano(), changed(info)))) > time.Second
}

// sortedNames omits names that are not keys. linked reports whether one is a
// symbolic link, whose kind can change while the directory is unchanged.
func sortedNames(root *tree, dir string, entries []fs.DirEntry) ([]string, bool) {
	names := make([]string, 0, len(entries))
	linked := false
	for _, entry := range entries {
		name := entry.Name()
		if !validElement(name) {
			continue
		}
		isDir := entry.IsDir()
		if entry.Type()&fs.ModeSymlink != 0 {
			linked = true
			info, err := root.Stat(dir + "/" + name)
			isDir = err == nil && info.IsDir()
		}
		if isDir {
			name += "/"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, linked
}

func (c *nameCache) get(info fs.FileInfo) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, entry := range c.entries {
		if entry.same(info) {
			c.entries = append(slices.Delete(c.entries, i, i+1), entry)
			return entry.names
		}
	}
	return nil
}

func (c *nameCache) put(info fs.FileInfo, names []string) {
	entry := cachedNames{id: identityOf(info), mtime: info.ModTime().UnixNano(), ctime: changed(info), names: names}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = slices.DeleteFunc(c.entries, func(e cachedNames) bool { return e.id == entry.id })
	if len(c.entries) >= cachedDirs {
		c.entries = slices.Delete(c.entries, 0, 1)
	}
	c.entries = append(c.entries, entry)
}

func (c *nameCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = nil
}

func (e cachedNames) same(info fs.FileInfo) bool {
	return e.id == identityOf(info) && e.mtime == info.ModTime().UnixNano() && e.ctime == changed(info)
}

func changed(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ctim.Nano()
	}
	return 0
}
