package file

import (
	"encoding/base64"
	"errors"
	"fmt"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// position is where a listing stopped: after a key, or after everything below a
// prefix. The zero value is the start.
type position struct {
	key    string
	prefix bool
}

// startOf returns the position at which a listing continues.
func startOf(options ufs.ListOptions) (position, error) {
	if options.Continuation != "" {
		return parseToken(options.Continuation)
	}
	return position{key: options.StartAfter}, nil
}

// token encodes a position; the first letter is its kind.
func (p position) token() string {
	kind := "k"
	if p.prefix {
		kind = "p"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(kind + p.key))
}

func parseToken(token string) (position, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < 2 || raw[0] != 'k' && raw[0] != 'p' {
		return position{}, fmt.Errorf("invalid continuation %q: %w", token, ufs.ErrInvalid)
	}
	p := position{key: string(raw[1:]), prefix: raw[0] == 'p'}
	if p.prefix && !strings.HasSuffix(p.key, "/") {
		return position{}, fmt.Errorf("invalid continuation %q: %w", token, ufs.ErrInvalid)
	}
	return p, nil
}

// covers reports whether a key is at or before the position.
func (p position) covers(key string) bool {
	return p.key != "" && key <= p.key || p.prefix && strings.HasPrefix(key, p.key)
}

// within reports whether everything in a directory is at or before the position.
func (p position) within(dir string) bool {
	if p.key == "" {
		return false
	}
	if p.prefix && strings.HasPrefix(dir, p.key) {
		return true
	}
	return dir < p.key && !strings.HasPrefix(p.key, dir)
}

// skip returns how many of the sorted names of a directory are before the
// position as a whole; names that it covers in part are kept.
func (p position) skip(names []string, base string) int {
	rest, inside := strings.CutPrefix(p.key, base)
	if p.key == "" || !inside {
		return 0
	}
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		rest = rest[:slash+1]
	}
	return sort.SearchStrings(names, rest)
}

// skipTo returns how many of the sorted names are before a prefix.
func skipTo(names []string, base, prefix string) int {
	rest, inside := strings.CutPrefix(prefix, base)
	if !inside {
		return 0
	}
	return sort.SearchStrings(names, rest)
}

func isNotDir(err error) bool {
	return errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
