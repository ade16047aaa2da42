//go:build linux

package fusefs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// instantSource is a source whose files have bytes in memory: those of versions
// "own" in their own memory, those of versions "copied" in the caller's. Versions
// "broken" panic, and others have none.
type instantSource struct {
	*fakeSource
	served atomic.Int64
}

func (s *instantSource) Open(ctx context.Context, v reader.Version) (File, error) {
	file, err := s.fakeSource.Open(ctx, v)
	if err != nil {
		return nil, err
	}
	return &instantFile{fakeFile: file.(*fakeFile), source: s}, nil
}

type instantFile struct {
	*fakeFile
	source *instantSource
}

func (f *instantFile) ReadNow(p []byte, off int64) (reader.Lent, bool) {
	switch f.version.ETag {
	case "own":
		own := make([]byte, len(p))
		_, _ = f.ReadAt(context.Background(), own, off)
		p = own
	case "copied":
		_, _ = f.ReadAt(context.Background(), p, off)
	case "broken":
		panic("broken")
	default:
		return reader.Lent{}, false
	}
	f.source.served.Add(1)
	return reader.Lent{Bytes: p}, true
}

func (f *instantFile) ClosesNow() bool { return true }

// TestInstantReads checks the bytes of reads that are served without waiting, and
// that one that panics fails and stops no others.
func TestInstantReads(t *testing.T) {
	source := &instantSource{fakeSource: newFakeSource(reader.Mount{ID: "m", Path: "/"})}
	const size = 1<<20 + 5
	point, _ := mounted(t, source, nil)
	for _, flags := range []int{0, unix.O_DIRECT} {
		for _, etag := range []string{"own", "copied", "absent"} {
			for _, length := range []int{4096, 64 << 10, 1 << 20} {
				// A file that was not read before, since pages that the kernel reads ahead
				// cannot be dropped.
				name := fmt.Sprintf("%s-%d-%d", etag, length, flags)
				source.put("m", name, etag, size)
				before := source.served.Load()
				got, err := readAt(point, name, 4096, length, flags)
				if want := min(length, size-4096); err != nil || len(got) != want || wrong(got, etag, 4096) >= 0 {
					t.Errorf("%d bytes of %q: got %d bytes, error %v", length, etag, len(got), err)
				}
				if instant := source.served.Load() > before; instant != (etag != "absent") {
					t.Errorf("%d bytes of %q: served without waiting: %t", length, etag, instant)
				}
			}
		}
		source.put("m", "broken", "broken", size)
		if _, err := readAt(point, "broken", 0, 4096, flags); !errors.Is(err, syscall.EIO) {
			t.Errorf("a read that panics: error %v, want EIO", err)
		}
	}
}

// countingSource is a source that counts its calls, and has all names in memory when
// named is set.
type countingSource struct {
	*fakeSource
	named                 atomic.Bool
	opens, lookups, names atomic.Int64
}

func (s *countingSource) Open(ctx context.Context, v reader.Version) (File, error) {
	s.opens.Add(1)
	return s.fakeSource.Open(ctx, v)
}

func (s *countingSource) OpenNow(v reader.Version) (File, error) {
	return s.Open(context.Background(), v)
}

func (s *countingSource) Lookup(ctx context.Context, mount, dir, name string) (reader.Entry, error) {
	s.lookups.Add(1)
	return s.fakeSource.Lookup(ctx, mount, dir, name)
}

func (s *countingSource) LookupNow(mount, dir, name string) (reader.Entry, bool) {
	if !s.named.Load() {
		return reader.Entry{}, false
	}
	s.names.Add(1)
	entry, err := s.fakeSource.Lookup(context.Background(), mount, dir, name)
	return entry, err == nil
}

// TestWarmFilesNeedNoSource checks that a small file whose pages and name are in memory
// is looked up, opened and read without the source, and that a version that replaces
// it is seen.
func TestWarmFilesNeedNoSource(t *testing.T) {
	source := &countingSource{fakeSource: newFakeSource(reader.Mount{ID: "m", Path: "/"})}
	const files, size = 50, 16 << 10
	name := func(i int) string { return fmt.Sprintf("d/%d", i) }
	for i := range files {
		source.put("m", name(i), name(i), size)
	}
	point, _ := mounted(t, source, func(c *Config) { c.EntryTTL = 0 })
	read := func(i int, etag string) {
		t.Helper()
		got, err := os.ReadFile(filepath.Join(point, name(i)))
		if err != nil || len(got) != size || wrong(got, etag, 0) >= 0 {
			t.Errorf("%s: got %d bytes, error %v", name(i), len(got), err)
		}
	}
	for i := range files {
		read(i, name(i))
	}
	source.named.Store(true)
	opens, lookups := source.opens.Load(), source.lookups.Load()
	for i := range files {
		read(i, name(i))
	}
	if opened, looked, named := source.opens.Load()-opens, source.lookups.Load()-lookups, source.names.Load(); opened != 0 || looked != 0 || named < files {
		t.Errorf("%d files took %d opens and %d lookups of the source, and %d names in memory; want 0, 0 and at least %d", files, opened, looked, named, files)
	}
	source.put("m", name(1), "replaced", size)
	read(1, "replaced")
	eventually(t, "all files are closed", func() bool {
		source.mu.Lock()
		defer source.mu.Unlock()
		return source.opened == 0
	})
}

// TestInstantRequestsOfUnknownThings checks that requests without effect fail as they
// would elsewhere.
func TestInstantRequestsOfUnknownThings(t *testing.T) {
	source := &countingSource{fakeSource: newFakeSource(reader.Mount{ID: "m", Path: "/"})}
	source.put("m", "d/file", "1", 100)
	source.named.Store(true)
	point, _ := mounted(t, source, func(c *Config) { c.EntryTTL = 0 })
	for _, test := range []struct {
		name string
		want error
	}{
		{"d/absent", syscall.ENOENT},
		{"d/file/below", syscall.ENOTDIR},
		{path.Join("d", fmt.Sprintf("%0256d", 0)), syscall.ENAMETOOLONG},
	} {
		if _, err := os.Open(filepath.Join(point, test.name)); !errors.Is(err, test.want) {
			t.Errorf("open %.20s: got error %v, want %v", test.name, err, test.want)
		}
	}
	if _, err := os.OpenFile(filepath.Join(point, "d/file"), os.O_RDWR, 0); !errors.Is(err, syscall.EROFS) {
		t.Errorf("open for writing: got error %v, want EROFS", err)
	}
}
