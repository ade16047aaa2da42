//go:build linux

package fusefs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// status is what an application sees of an error.
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
	// errKilled ends requests whose process is being killed: nobody waits for
	// the answer.
	errKilled = errors.New("the process that asked is being killed")
	// errLeaving ends requests that this server leaves to its successor.
	errLeaving = errors.New("the server is stopping")
)

// estale tells the kernel to look a name up again.
const estale = fuse.Status(syscall.ESTALE)
