//go:build linux

package fusefs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// fakeSource is a tree in memory. The bytes of a version are computed from its
// etag, so that a reader that knows the etag can verify them.
type fakeSource struct {
	mu      sync.Mutex
	mounts  []reader.Mount
	changes chan struct{}
	// dirs holds the entries of each directory, by mount and path.
	dirs map[string]map[string]reader.Entry
	// deleted holds versions that do not exist any more.
	deleted map[reader.Version]bool
	// fail returns the error of an operation on a path.
	fail func(operation, path string) error
	// delay is the duration of every read.
	delay time.Duration
	// page is the number of names in one page of a listing.
	page int
	// generation is that of every listing; 0 as of a directory that is not cached.
	generation uint64
	// lists counts the pages of each directory that were returned.
	lists map[string]int
	// lookups counts the lookups of each path.
	lookups map[string]int
	// sorted caches the sorted names of directories until the next change.
	sorted map[string][]string
	// opened is the number of open files.
	opened int
	// masters are the mounts that Current returns; nil means unreachable masters.
	// currents counts the calls of Current.
	masters  []reader.Mount
	currents int
}

func newFakeSource(mounts ...reader.Mount) *fakeSource {
	s := &fakeSource{
		mounts: mounts, changes: make(chan struct{}, 1), page: 100,
		dirs: map[string]map[string]reader.Entry{}, deleted: map[reader.Version]bool{}, lookups: map[string]int{}, lists: map[string]int{},
	}
	for _, m := range mounts {
		s.dirs[m.ID+":"] = map[string]reader.Entry{}
	}
	return s
}

// put creates or replaces a file, and creates the directories above it.
func (s *fakeSource) put(mount, file, etag string, size int64) reader.Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sorted = map[string][]string{}
	v := reader.Version{Mount: mount, Key: "prefix/" + file, ETag: etag, Size: size}
	dir, name := path.Split(file)
	dir = strings.Trim(dir, "/")
	s.makeDirs(mount, dir)
	s.dirs[mount+":"+dir][name] = reader.Entry{Name: name, Version: v, Modified: time.Unix(1700000000, 0)}
	return v
}

func (s *fakeSource) makeDirs(mount, dir string) {
	if s.dirs[mount+":"+dir] != nil {
		return
	}
	s.dirs[mount+":"+dir] = map[string]reader.Entry{}
	parent, name := path.Split(dir)
	parent = strings.Trim(parent, "/")
	s.makeDirs(mount, parent)
	s.dirs[mount+":"+parent][name] = reader.Entry{Name: name, Dir: true}
}

func (s *fakeSource) remove(mount, file string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sorted = map[string][]string{}
	dir, name := path.Split(file)
	delete(s.dirs[mount+":"+strings.Trim(dir, "/")], name)
}

func (s *fakeSource) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sorted = map[string][]string{}
	change()
}

func (s *fakeSource) counted(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookups[path]
}

// setMounts replaces the mounts and sends a token to Changes.
func (s *fakeSource) setMounts(mounts ...reader.Mount) {
	s.set(func() {
		s.mounts = mounts
		for _, m := range mounts {
			s.makeRoot(m.ID)
		}
	})
	s.changes <- struct{}{}
}

func (s *fakeSource) makeRoot(id string) {
	if s.dirs[id+":"] == nil {
		s.dirs[id+":"] = map[string]reader.Entry{}
	}
}

func (s *fakeSource) Mounts() []reader.Mount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]reader.Mount(nil), s.mounts...)
}

func (s *fakeSource) Changes() <-chan struct{} { return s.changes }

// Current replaces the mounts by those of the masters.
func (s *fakeSource) Current(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.currents++
	if s.masters == nil {
		return errors.New("no master is reachable")
	}
	s.mounts = s.masters
	return nil
}

func (s *fakeSource) masterRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.currents
}

func (s *fakeSource) failure(operation, name string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(operation, name)
}

func (s *fakeSource) Lookup(_ context.Context, mount, dir, name string) (reader.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := path.Join(dir, name)
	s.lookups[full]++
	if err := s.failure("lookup", full); err != nil {
		return reader.Entry{}, err
	}
	e, ok := s.dirs[mount+":"+dir][name]
	if !ok {
		return reader.Entry{}, fmt.Errorf("%s: %w", full, reader.ErrNotExist)
	}
	return e, nil
}

func (s *fakeSource) List(_ context.Context, mount, dir, after string) (reader.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[dir]++
	if err := s.failure("list", dir); err != nil {
		return reader.Page{}, err
	}
	all, ok := s.dirs[mount+":"+dir]
	if !ok {
		return reader.Page{}, fmt.Errorf("%s: %w", dir, reader.ErrNotExist)
	}
	if s.sorted[mount+":"+dir] == nil {
		s.sorted[mount+":"+dir] = slices.Sorted(maps.Keys(all))
	}
	names := s.sorted[mount+":"+dir]
	from, found := slices.BinarySearch(names, after)
	if found {
		from++
	}
	names = names[from:]
	more := len(names) > s.page
	names = names[:min(len(names), s.page)]
	var entries []reader.Entry
	for _, name := range names {
		entries = append(entries, all[name])
	}
	return reader.Page{Entries: entries, More: more, Generation: s.generation}, nil
}

func (s *fakeSource) Open(_ context.Context, v reader.Version) (File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failure("open", v.Key); err != nil {
		return nil, err
	}
	s.opened++
	return &fakeFile{source: s, version: v}, nil
}

func (s *fakeSource) Forget(_ context.Context, v reader.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookups["forget "+v.Key]++
}

// quickSource is a fakeSource that opens files without waiting, and that has all names
// in memory.
type quickSource struct{ *fakeSource }

var _ InstantSource = quickSource{}

func (s quickSource) OpenNow(v reader.Version) (File, error) { return s.Open(context.Background(), v) }

func (s quickSource) LookupNow(mount, dir, name string) (reader.Entry, bool) {
	e, err := s.Lookup(context.Background(), mount, dir, name)
	return e, err == nil
}

type fakeFile struct {
	source  *fakeSource
	version reader.Version
}

func (f *fakeFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	f.source.mu.Lock()
	err, deleted, delay := f.source.failure("read", f.version.Key), f.source.deleted[f.version], f.source.delay
	f.source.mu.Unlock()
	if deleted {
		return 0, fmt.Errorf("%s: %w", f.version.Key, reader.ErrStale)
	}
	if err != nil {
		return 0, err
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	if off >= f.version.Size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), f.version.Size-off))
	fill(p[:n], f.version.ETag, off)
	return n, nil
}

func (f *fakeFile) Close() error {
	f.source.set(func() { f.source.opened-- })
	return nil
}

// fill fills p with the bytes at an offset of the version with the given etag.
func fill(p []byte, etag string, off int64) {
	seed := xxhash.Sum64String(etag)
	var word [8]byte
	for i := 0; i < len(p); {
		at := uint64(off) + uint64(i)
		x := (at/8 + seed) * 0x9E3779B97F4A7C15
		binary.LittleEndian.PutUint64(word[:], x^x>>29)
		i += copy(p[i:], word[at%8:])
	}
}

// wrong returns the index of the first byte of p that differs from fill, -1 if
// there is none.
func wrong(p []byte, etag string, off int64) int {
	want := make([]byte, len(p))
	fill(want, etag, off)
	for i := range p {
		if p[i] != want[i] {
			return i
		}
	}
	return -1
}
