package file

import (
	"encoding/base64"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/jindo-io/jindo/pkg/ufs"
	"golang.org/x/sys/unix"
)

// position is where a listing stopped: after a key, or after everything that a
// prefix rolled up. The zero value is the start.
type position struct {
	key    string
	prefix bool
}

// startOf reads where a listing goes on.
func startOf(options ufs.ListOptions) (position, error) {
	if options.Continuation != "" {
		return parseToken(options.Continuation)
	}
	return position{key: options.StartAfter}, nil
}

// token writes a position; the first letter says which kind it is.
func (p position) token() string {
	kind := "k"
	if p.prefix {
		kind = "p"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(kind + p.key))
}

func parseToken(token string) (position, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < 2 || raw[0] != 'k' && raw[0] != 'p' || !utf8.Valid(raw) {
		return position{}, fmt.Errorf("continuation %q is not one of this store: %w", token, ufs.ErrInvalid)
	}
	p := position{key: string(raw[1:]), prefix: raw[0] == 'p'}
	if p.prefix && !strings.HasSuffix(p.key, "/") {
		return position{}, fmt.Errorf("continuation %q is not one of this store: %w", token, ufs.ErrInvalid)
	}
	return p, nil
}

// covers says that a key comes no later than the position.
func (p position) covers(key string) bool {
	return p.key != "" && key <= p.key || p.prefix && strings.HasPrefix(key, p.key)
}

// within says that everything in a directory comes no later.
func (p position) within(dir string) bool {
	if p.key == "" {
		return false
	}
	if p.prefix && strings.HasPrefix(dir, p.key) {
		return true
	}
	return dir < p.key && !strings.HasPrefix(p.key, dir)
}

// skip answers how many of the sorted names of a directory come before what
// the position leaves; those that it only partly covers are kept.
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

// skipTo answers how many of the sorted names come before a prefix.
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
