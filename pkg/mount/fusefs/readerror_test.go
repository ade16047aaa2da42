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
// application spend one timeout each: the kernel repeats a failed readahead, and
// a listing sends its first entries before it fails.
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
		source.fail = func(act, path string) error {
			switch {
			case act == "read" && path == "prefix/dir/file":
				reads.Add(1)
				return fmt.Errorf("no bytes: %w", reader.ErrUnavailable)
			case act == "read":
				quick.Add(1)
				return errors.New("another error")
			case act == "list":
				lists.Add(1)
				return fmt.Errorf("no names: %w", reader.ErrUnavailable)
			}
			return nil
		}
	})
	if _, err := files["file"].ReadAt(make([]byte, 4096), 0); !errors.Is(err, unix.EIO) {
		t.Errorf("read: %v", err)
	}
	if got := reads.Load(); got != 1 {
		t.Errorf("the store was read %d times for one read", got)
	}
	if _, err := files["quick"].ReadAt(make([]byte, 4096), 0); !errors.Is(err, unix.EIO) {
		t.Errorf("read: %v", err)
	}
	if got := quick.Load(); got != 2 {
		t.Errorf("the store was read %d times: this test must see the kernel's second read", got)
	}
	entries := 0
	for {
		n, err := unix.Getdents(fd, make([]byte, 4096))
		if errors.Is(err, unix.EIO) {
			break
		}
		if err != nil || n == 0 {
			t.Fatalf("%d bytes, %v after %d replies", n, err, entries)
		}
		entries++
	}
	if got := lists.Load(); got != 1 {
		t.Errorf("the store was listed %d times for one listing", got)
	}
	source.set(func() { source.fail = nil })
	seekTo(t, fd, 0)
	if got := namesOf(rest(t, fd, 4096)); len(got) != 2 {
		t.Errorf("after the outage: %q", got)
	}
}

func TestReadErrorsExpire(t *testing.T) {
	var errs readErrors
	now := time.Unix(1000, 0)
	failed := fmt.Errorf("no bytes: %w", reader.ErrUnavailable)
	errs.add(now, 4096, 8192, failed)
	errs.add(now, 0, 4096, errors.New("another error"))
	if err := errs.take(now, 0); err != nil {
		t.Errorf("an error that a second attempt may not meet: %v", err)
	}
	if err := errs.take(now, 8192); !errors.Is(err, failed) {
		t.Errorf("within the range: %v", err)
	}
	if err := errs.take(now, 8192); err != nil {
		t.Errorf("it was used already: %v", err)
	}
	errs.add(now, 0, 4096, failed)
	if err := errs.take(now.Add(repeatWindow+1), 0); err != nil {
		t.Errorf("after the window: %v", err)
	}
}
