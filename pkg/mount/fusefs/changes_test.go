//go:build linux

package fusefs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

func TestNewEpochInvalidatesNames(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/data", Epoch: 1})
	source.put("m", "dir/file", "one", 100)
	point, _ := mounted(t, source, func(c *Config) { c.EntryTTL, c.AttrTTL = time.Hour, time.Hour })
	name := filepath.Join(point, "data", "dir", "file")
	checkSize(t, name, 100)
	source.put("m", "dir/file", "two", 200)
	checkSize(t, name, 100) // the kernel may cache this for an hour
	source.setMounts(reader.Mount{ID: "m", Path: "/data", Epoch: 2})
	eventually(t, "the kernel looks up the name again", func() bool {
		info, err := os.Stat(name)
		return err == nil && info.Size() == 200
	})
}

func checkSize(t *testing.T, name string, want int64) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil || info.Size() != want {
		t.Fatalf("stat %s: got %v, error %v; want %d bytes", name, info, err, want)
	}
}

func TestMountsAreAdded(t *testing.T) {
	source := newFakeSource()
	point, s := mounted(t, source, func(c *Config) { c.NegativeTTL = time.Hour })
	if _, err := os.Stat(filepath.Join(point, "a", "b", "x")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(point); err != nil || len(entries) != 0 {
		t.Fatalf("without mounts the root has entries %v, error %v", entries, err)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("not ready without mounts: %v", err)
	}
	source.setMounts(reader.Mount{ID: "m", Path: "/a/b"}, reader.Mount{ID: "n", Path: "/a"})
	source.put("m", "x", "1", 1)
	source.put("n", "y", "1", 1)
	source.put("n", "b/shadowed", "1", 1)
	eventually(t, "the mounts are visible", func() bool {
		_, err := os.Stat(filepath.Join(point, "a", "b", "x"))
		return err == nil
	})
	for dir, want := range map[string][]string{"": {"a"}, "a": {"b", "y"}, "a/b": {"x"}} {
		entries, err := os.ReadDir(filepath.Join(point, dir))
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("directory %q has names %v, error %v; want %v", dir, names, err, want)
		}
	}
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
}

// TestNewMountIsFoundBeforeItsNotification checks that an application finds a
// mount that the masters have added, although the server has not been notified of
// it, and the absence of its path was looked up before.
func TestNewMountIsFoundBeforeItsNotification(t *testing.T) {
	source := newFakeSource()
	point, _ := mounted(t, source, func(c *Config) { c.NegativeTTL, c.EntryTTL = time.Hour, time.Hour })
	file := filepath.Join(point, "data", "dir", "file")
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("stat without mounts and masters returned %v, want ErrNotExist", err)
	}
	source.set(func() { source.makeRoot("m") })
	source.put("m", "dir/file", "one", 100)
	source.set(func() { source.masters = []reader.Mount{{ID: "m", Path: "/data", Epoch: 1}} })
	checkSize(t, file, 100)

	// Names in a mount must not cause requests to the masters, even if they do not
	// exist.
	before := source.masterRequests()
	checkSize(t, file, 100)
	if _, err := os.Stat(file + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if after := source.masterRequests(); after != before {
		t.Errorf("names in a mount caused %d requests to the masters, want none", after-before)
	}
}

// TestOpeningTheRootUpdatesMounts checks that a process which opens the root
// before it makes the mount visible to new readers shows them the current mounts.
func TestOpeningTheRootUpdatesMounts(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/data", Epoch: 1})
	source.put("m", "file", "one", 100)
	point, _ := mounted(t, source, func(c *Config) { c.NegativeTTL, c.EntryTTL = time.Hour, time.Hour })
	file := filepath.Join(point, "data", "file")
	checkSize(t, file, 100)
	source.set(func() { source.makeRoot("n") })
	source.put("n", "file", "two", 200)
	source.set(func() { source.masters = []reader.Mount{{ID: "n", Path: "/data", Epoch: 1}} })
	if entries, err := os.ReadDir(point); err != nil || len(entries) != 1 {
		t.Fatalf("the root has entries %v, error %v; want one", entries, err)
	}
	eventually(t, "the file of the new mount is visible", func() bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() == 200
	})
}
