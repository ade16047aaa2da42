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

func TestEpochMakesTheKernelLookAgain(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/data", Epoch: 1})
	source.put("m", "dir/file", "one", 100)
	point, _ := mounted(t, source, func(c *Config) { c.EntryTTL, c.AttrTTL = time.Hour, time.Hour })
	name := filepath.Join(point, "data", "dir", "file")
	checkSize(t, name, 100)
	source.put("m", "dir/file", "two", 200)
	checkSize(t, name, 100) // the kernel may keep this for an hour
	source.setMounts(reader.Mount{ID: "m", Path: "/data", Epoch: 2})
	eventually(t, "the kernel looks up again", func() bool {
		info, err := os.Stat(name)
		return err == nil && info.Size() == 200
	})
}

func checkSize(t *testing.T, name string, want int64) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil || info.Size() != want {
		t.Fatalf("%s: %v, %v; want %d bytes", name, info, err, want)
	}
}

func TestMountsComeAndGo(t *testing.T) {
	source := newFakeSource()
	point, s := mounted(t, source, func(c *Config) { c.NegativeTTL = time.Hour })
	if _, err := os.Stat(filepath.Join(point, "a", "b", "x")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(point); err != nil || len(entries) != 0 {
		t.Fatalf("without mounts: %v, %v", entries, err)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("a runtime without mounts is served as well: %v", err)
	}
	source.setMounts(reader.Mount{ID: "m", Path: "/a/b"}, reader.Mount{ID: "n", Path: "/a"})
	source.put("m", "x", "1", 1)
	source.put("n", "y", "1", 1)
	source.put("n", "b/shadowed", "1", 1)
	eventually(t, "the mounts are there", func() bool {
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
			t.Errorf("%q has %v, want %v (%v)", dir, names, want, err)
		}
	}
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
}

// Who was told that a mount is there finds it, though this server has not been
// told: neither it nor the kernel answers from memory.
func TestWhatIsNotMountedIsAskedFor(t *testing.T) {
	source := newFakeSource()
	point, _ := mounted(t, source, func(c *Config) { c.NegativeTTL, c.EntryTTL = time.Hour, time.Hour })
	file := filepath.Join(point, "data", "dir", "file")
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("nothing is mounted and no master answers: %v", err)
	}
	source.set(func() { source.makeRoot("m") })
	source.put("m", "dir/file", "one", 100)
	source.set(func() { source.masters = []reader.Mount{{ID: "m", Path: "/data", Epoch: 1}} })
	checkSize(t, file, 100)

	// What is mounted costs the masters nothing, what a store lacks neither.
	asked := source.questions()
	checkSize(t, file, 100)
	if _, err := os.Stat(file + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if now := source.questions(); now != asked {
		t.Errorf("the masters were asked %d times about names in a mount", now-asked)
	}
}

// The root is opened before the mount is shown to somebody new, who then sees
// what is mounted at that time.
func TestOpeningTheRootAsksWhatIsMounted(t *testing.T) {
	source := newFakeSource(reader.Mount{ID: "m", Path: "/data", Epoch: 1})
	source.put("m", "file", "one", 100)
	point, _ := mounted(t, source, func(c *Config) { c.NegativeTTL, c.EntryTTL = time.Hour, time.Hour })
	file := filepath.Join(point, "data", "file")
	checkSize(t, file, 100)
	source.set(func() { source.makeRoot("n") })
	source.put("n", "file", "two", 200)
	source.set(func() { source.masters = []reader.Mount{{ID: "n", Path: "/data", Epoch: 1}} })
	if entries, err := os.ReadDir(point); err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	eventually(t, "the other mount's file is there", func() bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() == 200
	})
}
