package owner

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxMark bounds the size of the file with the mark, in bytes.
const maxMark = 256

// openDir opens a directory below another one, or an absolute path if dir is nil. No
// element of the path may be a symbolic link, and none may leave dir.
func openDir(dir *os.File, path string) (*os.File, error) {
	at, resolve := unix.AT_FDCWD, uint64(unix.RESOLVE_NO_SYMLINKS)
	if dir != nil {
		at, resolve = int(dir.Fd()), resolve|unix.RESOLVE_BENEATH
	}
	return open(at, path, unix.O_RDONLY|unix.O_DIRECTORY, resolve)
}

// open opens a path with openat2(2), which fails instead of following a symbolic
// link. It has no fallback: openat(2) protects the last element only.
func open(at int, path string, flags int, resolve uint64) (*os.File, error) {
	if mutantFollow {
		resolve &^= unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH
	}
	how := &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve}
	for {
		fd, err := unix.Openat2(at, path, how)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case errors.Is(err, unix.ELOOP):
			return nil, &os.PathError{Op: "open", Path: path, Err: fmt.Errorf("a part of the path is a symbolic link: %w", err)}
		case err != nil:
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		default:
			return os.NewFile(uintptr(fd), path), nil
		}
	}
}

// readMark returns the mark of a directory. A mark that is not a small regular file
// is an error.
func readMark(dir *os.File) (string, error) {
	file, err := open(int(dir.Fd()), File, unix.O_RDONLY|unix.O_NONBLOCK, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxMark {
		return "", fmt.Errorf("%s is not a mark: it is %s of %d bytes", File, info.Mode().Type(), info.Size())
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxMark))
	return string(raw), err
}
