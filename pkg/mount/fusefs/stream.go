//go:build linux

package fusefs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// maxKept is how many entries behind the reader's place a stream keeps, so
// that going back a little needs no listing.
const maxKept = 4096

// stream is a window of a directory's entries around its reader's place: the
// dots first, then what mounts make, then the store's names page by page. A
// listing that changes meanwhile moves nothing within the window, and names
// that stay are seen once, because a page begins after a name and not at a
// number.
type stream struct {
	mu    sync.Mutex
	items []dirItem
	// next is the index of the entry to be sent next.
	next int
	// mountNames are the names that mounts make, which are not taken from the store.
	mountNames []string
	// after is the last name taken from the store, and more says that it has
	// others behind it. Begun is false until the dots are in.
	after string
	more  bool
	begun bool
	// err ended the previous request, which sent entries and no error. The next
	// call of ahead returns it once.
	err error
}

// restart puts a stream before its first entry.
func (f *fileSystem) restart(h *handle) {
	s := &h.stream
	s.items, s.next, s.after, s.more, s.begun, s.err = nil, 0, "", true, true, nil
	s.mountNames = f.tree.Load().mountNames(h.path)
	for _, name := range append([]string{".", ".."}, s.mountNames...) {
		s.items = append(s.items, newItem(h.path, reader.Entry{Name: name, Dir: true}))
	}
}

// seek puts the stream behind the entry with a cookie.
func (f *fileSystem) seek(ctx context.Context, h *handle, cookie uint64) error {
	s := &h.stream
	if cookie == 0 {
		f.restart(h)
		return nil
	}
	if s.begun && s.find(cookie) {
		return nil
	}
	// A predecessor sent this entry, and its last reply is remembered.
	for _, name := range f.table.sent(h) {
		if cookieOf(name) == cookie {
			f.placeAfter(h, name)
			return nil
		}
	}
	return f.scan(ctx, h, cookie)
}

// find looks for a cookie in the window, from the most likely place.
func (s *stream) find(cookie uint64) bool {
	if s.next > 0 && s.next <= len(s.items) && s.items[s.next-1].dirEntry.Off == cookie {
		return true
	}
	for i, it := range s.items {
		if it.dirEntry.Off == cookie {
			s.next = i + 1
			return true
		}
	}
	return false
}

// placeAfter puts the stream behind a name that may be gone by now.
func (f *fileSystem) placeAfter(h *handle, name string) {
	f.restart(h)
	s := &h.stream
	if s.find(cookieOf(name)) {
		return
	}
	s.items, s.next, s.after = nil, 0, name
}

// scan looks for a cookie from the directory's beginning. A reader gets here
// by going far back, or by going back under a successor.
func (f *fileSystem) scan(ctx context.Context, h *handle, cookie uint64) error {
	f.restart(h)
	s := &h.stream
	for !s.find(cookie) {
		s.next = len(s.items)
		more, err := f.load(ctx, h)
		if err != nil {
			return err
		}
		if !more {
			return fmt.Errorf("the entry at cookie %d is gone: %w", cookie, reader.ErrStale)
		}
	}
	return nil
}

// nextItems answers the entries from the reader's place on, none at the end.
func (f *fileSystem) nextItems(ctx context.Context, h *handle) ([]dirItem, error) {
	s := &h.stream
	if err := s.err; err != nil {
		s.err = nil
		if s.next >= len(s.items) {
			return nil, err
		}
	}
	for s.next >= len(s.items) {
		more, err := f.load(ctx, h)
		if err != nil || !more {
			return nil, err
		}
	}
	return s.items[s.next:], nil
}

// load takes one more page from the store; false when there is none.
func (f *fileSystem) load(ctx context.Context, h *handle) (bool, error) {
	s := &h.stream
	if !s.more {
		return false, nil
	}
	entries, more, err := f.list(ctx, h.path, s.after)
	if err != nil {
		return false, err
	}
	if len(entries) == 0 && more || len(entries) > 0 && entries[len(entries)-1].Name == s.after {
		return false, fmt.Errorf("listing %s after %q goes round in circles", h.path, s.after)
	}
	if drop := s.next - maxKept; drop > 0 {
		s.items, s.next = slices.Delete(s.items, 0, drop), s.next-drop
	}
	for _, e := range entries {
		if _, shadowed := slices.BinarySearch(s.mountNames, e.Name); !shadowed && validName(e.Name) {
			s.items = append(s.items, newItem(h.path, e))
		}
		s.after = e.Name
	}
	s.more = more
	return true, nil
}

// validName says whether the kernel takes a name; it gives up a whole reply
// for one that it does not take.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= nameMax && !strings.ContainsAny(name, "/\x00")
}
