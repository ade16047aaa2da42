package file

import (
	"fmt"
	"path"
	"strings"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// reserved is the prefix of the driver's own names.
const reserved = ".jindo-"

const (
	temporary = reserved + "tmp-"
	uploads   = reserved + "uploads"
	lockFile  = reserved + "lock"
)

// target is the path of a key below the root.
type target struct {
	key string
	// path without a trailing slash.
	path string
	// dir means that the key ends with a slash, so it names a directory.
	dir bool
}

func (t target) parent() string { return path.Dir(t.path) }
func (t target) base() string   { return path.Base(t.path) }

// parse returns an error for keys that are not a path below the root.
func parse(key string) (target, error) {
	t := target{key: key, path: strings.TrimSuffix(key, "/")}
	t.dir = t.path != key
	if t.path == "" {
		return target{}, fmt.Errorf("key %q does not name a file: %w", key, ufs.ErrInvalidKey)
	}
	for element := range strings.SplitSeq(t.path, "/") {
		if !validElement(element) {
			return target{}, fmt.Errorf("key %q cannot be a path in a directory: invalid element %q: %w", key, element, ufs.ErrInvalidKey)
		}
	}
	return t, nil
}

func validElement(element string) bool {
	return element != "" && element != "." && element != ".." && len(element) <= 255 &&
		!strings.HasPrefix(element, reserved) && !strings.ContainsRune(element, 0)
}
