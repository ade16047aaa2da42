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

// maxKept is the number of entries before the current position that a stream
// keeps, so that a short seek backwards needs no listing.
const maxKept = 4096

// stream is a window of a directory's entries around the current position: "."
// and "..", then the names of mounts, then the store's names page by page. A
// concurrent change of the listing does not move entries within the window. Names
// that exist throughout are returned once, because a page begins after a name and
// not at an index.
type stream struct {
	mu    sync.Mutex
	items []dirItem
	// next is the index in items of the entry to return next.
	next int
	// mountNames are the sorted names that exist because of mounts. They shadow
	// the same names of the store.
	mountNames []string
	// after is the last name read from the store. more reports whether the store
	// has names after it. begun is false until "." and ".." are in items.
	after string
	more  bool
	begun bool
	// err ended the previous request, which returned entries and no error. The
	// next call of nextItems returns it once.
	err error
}

// restart moves the stream before its first entry.
func (f *fileSystem) restart(h *handle) {
	s := &h.stream
	s.items, s.next, s.after, s.more, s.begun, s.err = nil, 0, "", true, true, nil
	s.mountNames = f.tree.Load().mountNames(h.path)
	for _, name := range append([]string{".", ".."}, s.mountNames...) {
		s.items = append(s.items, newItem(h.path, reader.Entry{Name: name, Dir: true}))
	}
}

// seek moves the stream after the entry with the given cookie.
func (f *fileSystem) seek(ctx context.Context, h *handle, cookie uint64) error {
	s := &h.stream
	if cookie == 0 {
		f.restart(h)
		return nil
	}
	if s.begun && s.find(cookie) {
		return nil
	}
	// The entry may be in the last reply of a predecessor, which the table holds.
	for _, name := range f.table.sent(h) {
		if cookieOf(name) == cookie {
			f.seekAfter(h, name)
			return nil
		}
	}
	return f.scan(ctx, h, cookie)
}

// find moves the stream after the entry with the given cookie, and reports whether
// the window contains it. It checks the most likely position first.
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

// seekAfter moves the stream after a name, which may have been deleted.
func (f *fileSystem) seekAfter(h *handle, name string) {
	f.restart(h)
	s := &h.stream
	if s.find(cookieOf(name)) {
		return
	}
	s.items, s.next, s.after = nil, 0, name
}

// scan searches for a cookie from the beginning of the directory. This is needed
// for a seek far backwards, or any seek backwards after a takeover.
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
			return fmt.Errorf("seek to cookie %d of %s: the entry was deleted: %w", cookie, h.path, reader.ErrStale)
		}
	}
	return nil
}

// nextItems returns the next entries at the current position, none at the end.
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

// load reads one more page from the store. It returns false at the end.
func (f *fileSystem) load(ctx context.Context, h *handle) (bool, error) {
	s := &h.stream
	if !s.more {
		return false, nil
	}
	page, err := f.list(ctx, h.path, s.after)
	if err != nil {
		return false, err
	}
	h.listing.read(page.Generation)
	entries := page.Entries
	if len(entries) == 0 && page.More || len(entries) > 0 && entries[len(entries)-1].Name == s.after {
		return false, fmt.Errorf("list %s after %q: the listing makes no progress", h.path, s.after)
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
	s.more = page.More
	return true, nil
}

// validName reports whether the kernel accepts a name. The kernel rejects a whole
// reply because of one invalid name.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= nameMax && !strings.ContainsAny(name, "/\x00")
}
