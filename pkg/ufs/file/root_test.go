package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/file"
)

// TestRootIsRemovedAndRestored checks that a missing directory is distinguished from an
// empty one.
func TestRootIsRemovedAndRestored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := file.Open(ufs.Location{Scheme: "file", Dir: dir}); !errors.Is(err, ufs.ErrNoBucket) || !strings.Contains(err.Error(), dir) {
		t.Errorf("open: %v", err)
	}
	lay(t, dir, "key", "old")
	s := open(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), "key"); !errors.Is(err, ufs.ErrNoBucket) {
		t.Errorf("removed: %v", err)
	}
	lay(t, dir, "key", "new")
	if got, err := read(s, "key"); err != nil || got != "new" {
		t.Errorf("restored: %q, %v", got, err)
	}
	if _, err := file.Open(ufs.Location{Scheme: "file", Dir: filepath.Join(dir, "key")}); !errors.Is(err, ufs.ErrInvalid) {
		t.Errorf("a file as root: %v", err)
	}
}

// TestUnmountedRoot checks that an empty directory, where a file system was
// mounted before, is an outage and not a deletion of everything.
func TestUnmountedRoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("jindo-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("not run: cannot mount a tmpfs: %v", err)
	}
	mounted := true
	defer func() {
		if mounted {
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	}()
	lay(t, dir, "key", "x")
	s := open(t, dir)
	if got, err := read(s, "key"); err != nil || got != "x" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	mounted = false
	_, err := s.Stat(t.Context(), "key")
	if !errors.Is(err, ufs.ErrUnavailable) || errors.Is(err, ufs.ErrNotFound) {
		t.Errorf("stat: %v", err)
	}
	if _, err := s.List(t.Context(), ufs.ListOptions{}); !errors.Is(err, ufs.ErrUnavailable) {
		t.Errorf("list: %v", err)
	}
}

// TestFullDisk checks that a full disk is ErrUnavailable and leaves no trace of
// the put.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("jindo-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("not run: cannot mount a tmpfs: %v", err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	s := open(t, dir)
	put(t, s, "key", "x")
	big := strings.NewReader(strings.Repeat("x", 1<<20))
	_, err := s.Put(t.Context(), "key", big, 1<<20, nil, ufs.Conditions{})
	if !errors.Is(err, ufs.ErrUnavailable) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
	if got, err := read(s, "key"); err != nil || got != "x" {
		t.Errorf("the object is %q, %v", got, err)
	}
	put(t, s, "other", strings.Repeat("x", 30000)) // the space was released
}
