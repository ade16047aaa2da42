//go:build linux

package fusefd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
)

// BackingFile is a file that a server wants to register. It is a regular file, open
// for reading only.
type BackingFile struct {
	// FD is the descriptor, valid during the call of AcceptBacking.
	FD int
	// Device and Inode identify the file.
	Device, Inode uint64
	// Size is in bytes. Links is the number of names of the file.
	Size  int64
	Links uint64
}

// maxCacheDepth is the number of names of a file below the directory of a cache.
const maxCacheDepth = 3

// CacheFiles returns an AcceptBacking that accepts files in the directories of
// caches, see CacheDirectories. dirs returns their paths.
func CacheFiles(dirs func() []string) func(BackingFile) error {
	return CacheDirectories(func() []*os.File {
		var opened []*os.File
		for _, dir := range dirs() {
			if f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0); err == nil {
				opened = append(opened, f)
			}
		}
		return opened
	})
}

// CacheDirectories returns an AcceptBacking that accepts files in the directories of
// caches, which only workers can write to, at most three levels below. open returns
// the directories, opened with O_PATH at least, which are closed after each call.
//
// The sender does not prove a path, which may be that of another mount namespace and
// may change. Its last names are a hint where to look: the file is accepted if the
// same file, by device and inode, is found there by a lookup that starts at the
// directory and neither leaves it nor follows symlinks. A file with another name
// elsewhere is refused.
func CacheDirectories(open func() []*os.File) func(BackingFile) error {
	return func(f BackingFile) error {
		if f.Links != 1 {
			return fmt.Errorf("the file has %d names, a file of a cache has one", f.Links)
		}
		path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.FD))
		if err != nil {
			return fmt.Errorf("read the path of the file: %w", err)
		}
		names := strings.Split(strings.Trim(path, "/"), "/")
		names = names[max(0, len(names)-maxCacheDepth):]
		found := false
		for _, dir := range open() {
			found = found || f.below(dir, names)
			_ = dir.Close()
		}
		if !found {
			return errors.New("the file is not in the cache of a worker of this mount")
		}
		return nil
	}
}

// below reports whether the file is in a directory, under the last of the names.
func (f BackingFile) below(dir *os.File, names []string) bool {
	found := false
	_ = fdsock.Lend([]*os.File{dir}, func(fds []int) error {
		for i := range names {
			found = found || f.is(fds[0], filepath.Join(names[i:]...))
		}
		return nil
	})
	return found
}

// is reports whether a path below a directory is the file.
func (f BackingFile) is(root int, path string) bool {
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	return unix.Fstat(fd, &stat) == nil && stat.Dev == f.Device && stat.Ino == f.Inode
}
