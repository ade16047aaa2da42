package reader

import (
	"errors"
	"time"
)

// Errors of reads. Everything else that Read returns means that every rung
// failed until the deadline.
var (
	// ErrStale: the version is gone from the store and from the cache. The
	// name must be looked up again.
	ErrStale = errors.New("the version that was opened is gone")
	// ErrNotExist: the name is not there, by a complete listing or a 404.
	ErrNotExist = errors.New("no such name")
	// ErrUnavailable means that the bytes or names could not be read in time
	// and that trying longer would not have helped.
	ErrUnavailable = errors.New("unavailable")
	// ErrPermission: the store refuses; the text names the missing right.
	ErrPermission = errors.New("permission denied by the store")
)

// Mount is one bucket or prefix in the tree.
type Mount struct {
	ID string
	// Path in the tree, absolute and clean: "/hadoop".
	Path string
	// Epoch grows when everything known about names must be asked anew.
	Epoch    uint64
	ReadOnly bool
}

// Entry is one name in a directory.
type Entry struct {
	Name string
	Dir  bool
	// Version of a file's bytes; zero for a directory.
	Version  Version
	Modified time.Time
}

// Version is one version of one object's bytes: equal versions are equal
// bytes.
type Version struct {
	Mount string
	Key   string
	ETag  string
	Size  int64
}
