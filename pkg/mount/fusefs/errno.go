//go:build linux

package fusefs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// status returns the errno that an application gets for an error.
func status(err error) fuse.Status {
	switch {
	case err == nil:
		return fuse.OK
	case errors.Is(err, reader.ErrNotExist):
		return fuse.ENOENT
	case errors.Is(err, reader.ErrPermission):
		return fuse.EACCES
	case errors.Is(err, reader.ErrStale):
		return fuse.Status(syscall.ESTALE)
	case errors.Is(err, errKilled):
		return fuse.EINTR
	default:
		return fuse.EIO
	}
}

var (
	// errKilled ends requests whose process is being killed: it does not wait
	// for the reply any more.
	errKilled = errors.New("the requesting process is being killed")
	// errShutdown ends requests that this server leaves to its successor.
	errShutdown = errors.New("the server is stopping")
)

// estale makes the kernel look up the name again.
const estale = fuse.Status(syscall.ESTALE)
