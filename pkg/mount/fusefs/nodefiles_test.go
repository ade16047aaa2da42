//go:build linux

package fusefs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// strictSource is a source whose files report a read after Close, and a Close during
// a read.
type strictSource struct {
	*fakeSource
	misuse atomic.Int64
}

type strictFile struct {
	File
	source *strictSource
	uses   atomic.Int64
}

const closedFile = -1 << 40

func (s *strictSource) Open(ctx context.Context, v reader.Version) (File, error) {
	file, err := s.fakeSource.Open(ctx, v)
	if err != nil {
		return nil, err
	}
	return &strictFile{File: file, source: s}, nil
}

func (f *strictFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if f.uses.Add(1) < 0 {
		f.source.misuse.Add(1)
	}
	defer f.uses.Add(-1)
	return f.File.ReadAt(ctx, p, off)
}

func (f *strictFile) Close() error {
	if !f.uses.CompareAndSwap(0, closedFile) {
		f.source.misuse.Add(1)
	}
	return f.File.Close()
}

func (s *strictSource) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// TestNodeFilesAreBounded reads parts of many files from many threads, more than may
// stay open, while the kernel forgets them and idle ones are closed. No file is closed
// while it is read, and in the end all are closed.
func TestNodeFilesAreBounded(t *testing.T) {
	const files, size, readers, limit = 60, 1 << 20, 8, 5
	source := &strictSource{fakeSource: newFakeSource(reader.Mount{ID: "m", Path: "/"})}
	for i := range files {
		source.put("m", fmt.Sprint(i), fmt.Sprint(i), size)
	}
	h := newTestMount(t)
	s, stop := h.start(t, source, immutable)
	s.files.notifier.expire.Store(false)
	s.files.nodes.mu.Lock()
	s.files.nodes.limit = limit
	s.files.nodes.mu.Unlock()
	var group sync.WaitGroup
	for range readers {
		group.Go(func() {
			for range 200 {
				i := rand.IntN(files)
				off := int64(rand.IntN(size)) &^ 4095
				got, err := readAt(h.point, fmt.Sprint(i), off, 4096, unix.O_DIRECT)
				if err != nil || len(got) != 4096 || wrong(got, fmt.Sprint(i), off) >= 0 {
					t.Errorf("read file %d at %d: %d bytes, error %v", i, off, len(got), err)
				}
				// Those that are being closed do not count any more.
				if n := s.files.nodes.count(); n > limit+readers {
					t.Errorf("%d files are kept, want at most %d", n, limit+readers)
				}
				switch rand.IntN(8) {
				case 0:
					s.files.notifier.entry(fmt.Sprintf("/%d", rand.IntN(files)))
				case 1:
					s.files.nodes.sweep(time.Now())
				}
			}
		})
	}
	group.Wait()
	// The kernel may still be forgetting it, because its name was invalidated.
	eventually(t, "a file that was read in part is kept open", func() bool {
		if _, err := readAt(h.point, "1", 0, 4096, unix.O_DIRECT); err != nil {
			t.Fatal(err)
		}
		return source.open() > 0
	})
	for i := range files {
		s.files.notifier.entry(fmt.Sprintf("/%d", i))
	}
	eventually(t, "the kernel has forgotten the files", func() bool { return source.open() == 0 && s.files.nodes.count() == 0 })
	if _, err := readAt(h.point, "1", 0, 4096, unix.O_DIRECT); err != nil {
		t.Fatal(err)
	}
	stop()
	if n := source.open(); n != 0 {
		t.Errorf("%d files are open after the end of the server", n)
	}
	if n := source.misuse.Load(); n != 0 {
		t.Errorf("%d files were closed while they were read, or read after they were closed", n)
	}
}

// TestReadWithoutAHandle checks reads of nodes that are no files.
func TestReadWithoutAHandle(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	_, s := mounted(t, source, immutable)
	for node, want := range map[uint64]error{rootID: unix.EISDIR, 1 << 50: unix.ESTALE, 0: unix.ESTALE} {
		_, code := s.files.read(readRequest{node: node, size: 10}, nil)
		if !errors.Is(unix.Errno(code), want) {
			t.Errorf("read of node %d returned %v, want %v", node, code, want)
		}
	}
	if n := s.files.nodes.count(); n != 0 {
		t.Errorf("%d files were opened", n)
	}
}
