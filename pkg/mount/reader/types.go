package reader

import (
	"errors"
	"time"
)

// Errors of reads. Any other error means that every rung failed until the
// deadline.
var (
	// ErrStale means that the version exists neither in the store nor in the
	// cache any more. The caller must look the name up again.
	ErrStale = errors.New("the opened version does not exist any more")
	// ErrNotExist means that the name does not exist, according to a complete
	// listing or a 404.
	ErrNotExist = errors.New("no such name")
	// ErrUnavailable means that bytes or names could not be read in time, or
	// that a retry cannot succeed.
	ErrUnavailable = errors.New("unavailable")
	// ErrPermission means that the store refuses; the text names the missing
	// right.
	ErrPermission = errors.New("permission denied by the store")
)

// Mount is a bucket or prefix in the file tree.
type Mount struct {
	ID string
	// Path is the absolute, clean path in the tree, for example "/hadoop".
	Path string
	// Epoch is the invalidation epoch: when it grows, all cached names of the
	// mount must be dropped.
	Epoch    uint64
	ReadOnly bool
}

// Entry is a name in a directory.
type Entry struct {
	Name string
	Dir  bool
	// Version identifies a file's bytes; it is zero for a directory.
	Version  Version
	Modified time.Time
	// Read is the time at which the entry was requested from a worker, if that was
	// before the call that returned it.
	Read time.Time
}

// Page holds names of a directory.
type Page struct {
	Entries []Entry
	// More is set if names follow the last entry.
	More bool
	// Generation identifies the listing that has the entries: pages of one directory
	// with the same generation are of one listing, except for single names that were
	// forgotten since. It is 0 if the listing is not known.
	Generation uint64
}

// Version identifies one version of one object: equal versions have equal bytes.
type Version struct {
	Mount string
	Key   string
	ETag  string
	Size  int64
}
