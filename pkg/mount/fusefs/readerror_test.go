//go:build linux

package fusefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// TestUnavailableStoreIsTriedOnce checks that one read and one listing by an
// application wait for one timeout each, although the kernel repeats a failed
// readahead, and a listing returns its first entries before it fails.
func TestUnavailableStoreIsTriedOnce(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/"})
	source.put("m", "dir/file", "1", 1<<20)
	source.put("m", "dir/quick", "2", 1<<20)
	point, _ := mounted(t, source, nil)
	fd := openDir(t, filepath.Join(point, "dir"))
	files := map[string]*os.File{}
	for _, name := range []string{"file", "quick"} {
		file, err := os.Open(filepath.Join(point, "dir", name))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		files[name] = file
	}
	var reads, quick, lists atomic.Int64
	source.set(func() {
		source.fail = func(operation, path string) error {
			switch {
			case operation == "read" && path == "prefix/dir/file":
				reads.Add(1)
				return fmt.Errorf("no bytes: %w", reader.ErrUnavailable)
			case operation == "read":
				quick.Add(1)
				return errors.New("another error")
			case operation == "list":
				lists.Add(1)
				return fmt.Errorf("no names: %w", reader.ErrUnavailable)
			}
			return nil
		}
	})
	// This process may be stopped for longer than repeatWindow, on a busy machine.
	for {
		before, began := reads.Load(), time.Now()
		if _, err := files["file"].ReadAt(make([]byte, 4096), 0); !errors.Is(err, unix.EIO) {
			t.Errorf("read returned %v, want EIO", err)
		}
		got := reads.Load() - before
		if got == 1 {
			break
		}
		if time.Since(began) <= repeatWindow {
			t.Fatalf("one read caused %d reads of the store, want one", got)
		}
	}
	if _, err := files["quick"].ReadAt(make([]byte, 4096), 0); !errors.Is(err, unix.EIO) {
		t.Errorf("read returned %v, want EIO", err)
	}
	if got := quick.Load(); got != 2 {
		t.Errorf("the store was read %d times, want 2: the kernel must repeat the read", got)
	}
	entries := 0
	for {
		n, err := unix.Getdents(fd, make([]byte, 4096))
		if errors.Is(err, unix.EIO) {
			break
		}
		if err != nil || n == 0 {
			t.Fatalf("after %d replies getdents returned %d bytes, error %v; want EIO", entries, n, err)
		}
		entries++
	}
	if got := lists.Load(); got != 1 {
		t.Errorf("one listing caused %d listings of the store, want one", got)
	}
	source.set(func() { source.fail = nil })
	seekTo(t, fd, 0)
	if got := namesOf(readRest(t, fd, 4096)); len(got) != 2 {
		t.Errorf("after the outage: got names %q, want two", got)
	}
}

func TestReadErrorsExpire(t *testing.T) {
	var errs readErrors
	now := time.Unix(1000, 0)
	failed := fmt.Errorf("no bytes: %w", reader.ErrUnavailable)
	errs.add(now, 4096, 8192, failed)
	errs.add(now, 0, 4096, errors.New("another error"))
	if err := errs.take(now, 0); err != nil {
		t.Errorf("an error other than ErrUnavailable was recorded: %v", err)
	}
	if err := errs.take(now, 8192); !errors.Is(err, failed) {
		t.Errorf("within the range: got %v, want %v", err, failed)
	}
	if err := errs.take(now, 8192); err != nil {
		t.Errorf("the error was not removed: %v", err)
	}
	errs.add(now, 0, 4096, failed)
	if err := errs.take(now.Add(repeatWindow+1), 0); err != nil {
		t.Errorf("after repeatWindow: got %v, want nil", err)
	}
}
