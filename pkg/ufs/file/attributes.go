package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Extended attributes of the driver.
const (
	// metadataAttribute is the user metadata as one JSON object.
	metadataAttribute = "user.jindo.metadata"
	// directoryAttribute is one of the kinds below.
	directoryAttribute = "user.jindo.directory"
)

// Kinds of directories. A directory that another program made has none.
const (
	// markerKind directories were put as objects.
	markerKind = "object"
	// impliedKind directories were made on the path to a key, and are removed
	// with the last one.
	impliedKind = "implied"
)

// keepsAttributes reports whether the file system of the root has extended
// attributes.
func keepsAttributes(root *tree) (bool, error) {
	dir, err := root.Open(".")
	if err != nil {
		return false, err
	}
	defer func() { _ = dir.Close() }()
	_, err = getAttribute(dir, metadataAttribute)
	if errors.Is(err, unix.ENOTSUP) {
		return false, nil
	}
	return err == nil, err
}

// getAttribute returns nil for a missing attribute.
func getAttribute(f *os.File, name string) ([]byte, error) {
	value := make([]byte, 256)
	for {
		n, err := unix.Fgetxattr(int(f.Fd()), name, value)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ERANGE) && len(value) < 1<<16:
			value = make([]byte, 1<<16)
			continue
		case errors.Is(err, unix.ENODATA):
			return nil, nil
		case err != nil:
			return nil, &os.PathError{Op: "getxattr", Path: f.Name(), Err: err}
		}
		return value[:n], nil
	}
}

func setAttribute(f *os.File, name string, value []byte) error {
	if err := unix.Fsetxattr(int(f.Fd()), name, value, 0); err != nil {
		return &os.PathError{Op: "setxattr", Path: f.Name(), Err: err}
	}
	return nil
}

func readMetadata(f *os.File) (map[string]string, error) {
	raw, err := getAttribute(f, metadataAttribute)
	if errors.Is(err, unix.ENOTSUP) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeMetadata(raw)
}

func decodeMetadata(raw []byte) (map[string]string, error) {
	metadata := map[string]string{}
	if len(raw) == 0 {
		return metadata, nil
	}
	if err := json.Unmarshal(raw, &metadata); err != nil {
		return nil, fmt.Errorf("reading attribute %s: %w: %w", metadataAttribute, err, ufs.ErrUnavailable)
	}
	if metadata == nil { // "null"
		metadata = map[string]string{}
	}
	return metadata, nil
}

func writeMetadata(f *os.File, metadata map[string]string) error {
	if len(metadata) == 0 {
		return nil
	}
	raw, err := json.Marshal(metadata)
	if err != nil {
		return fmt.Errorf("writing metadata: %w: %w", err, ufs.ErrInvalid)
	}
	err = setAttribute(f, metadataAttribute, raw)
	if errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("the file system has no extended attributes for metadata: %w", ufs.ErrUnsupported)
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ERANGE) || errors.Is(err, unix.E2BIG) {
		return fmt.Errorf("%d bytes of metadata exceed the limit of the file system: %w", len(raw), ufs.ErrInvalid)
	}
	return err
}

// directoryKind returns "" for a directory without the attribute.
func directoryKind(dir *os.File) (string, error) {
	raw, err := getAttribute(dir, directoryAttribute)
	if errors.Is(err, unix.ENOTSUP) {
		return "", nil
	}
	return string(raw), err
}

func setDirectoryKind(dir *os.File, kind string) error {
	err := setAttribute(dir, directoryAttribute, []byte(kind))
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
