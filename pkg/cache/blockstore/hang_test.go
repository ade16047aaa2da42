package blockstore

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hangDirectory mounts a file system over a directory whose operations hang
// until release is called: a FUSE file system without a server.
func hangDirectory(t *testing.T, dir string) (release func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: mounting a file system needs root")
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("not run: no FUSE here: %v", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("jindo-hang", dir, "fuse.jindo-hang", 0, options); err != nil {
		_ = unix.Close(fd)
		t.Fatalf("mounting a file system that hangs: %v", err)
	}
	var once sync.Once
	release = func() {
		once.Do(func() {
			// Without its descriptor the file system fails instead.
			if err := errors.Join(unix.Close(fd), unix.Unmount(dir, unix.MNT_DETACH)); err != nil {
				t.Errorf("removing the file system that hangs: %v", err)
			}
		})
	}
	t.Cleanup(release)
	return release
}

// TestFileSystemHangs lets the file system of one of two tiers hang under a
// store in use, and under one that starts.
func TestFileSystemHangs(t *testing.T) {
	config := testConfig(t, func(c *Config) {
		c.Tiers = append(c.Tiers, Tier{Medium: "SSD", Path: t.TempDir(), Quota: c.Tiers[0].Quota, Floor: 1})
		c.Retry = time.Nanosecond
	})
	s, err := Open(config)
	must(t, err)
	healthy(t, s, 0)
	healthy(t, s, 1)
	o := newOrigin(5, 300_000)
	for i := range 8 {
		mustRead(t, s, o, fmt.Sprint(i), 0, 300_000, o.fetch)
	}
	settled(t, s)
	readOn := func(prefix string) {
		t.Helper()
		for i := range 8 {
			mustRead(t, s, o, fmt.Sprint(i), 0, 300_000, o.fetch)
			mustRead(t, s, o, fmt.Sprint(prefix, i), 0, 300_000, o.fetch)
		}
		eventually(t, "the tier reports that it hangs", func() bool { return s.Stats().Tiers[1].Err != nil })
		healthy(t, s, 0)
		for i := range 8 {
			name := fmt.Sprint(prefix, "new", i)
			mustRead(t, s, o, name, 0, 300_000, o.fetch)
			onDisk(t, s, o, name)
		}
	}
	recovered := func() {
		t.Helper()
		setTimeout(s.tiers[1], forever)
		eventually(t, "the tier is used again", func() bool { s.tick(); return s.Stats().Tiers[1].Err == nil })
		settled(t, s)
		s.tick()
		checkAccounts(t, s)
	}
	setTimeout(s.tiers[1], 100*time.Millisecond)
	release := hangDirectory(t, s.tiers[1].dir)
	readOn("a")
	release()
	recovered()
	shut(t, s)

	release = hangDirectory(t, config.Tiers[1].Path)
	config.DiskTimeout = 100 * time.Millisecond
	s = open(t, config)
	setTimeout(s.tiers[0], forever)
	readOn("b")
	release()
	recovered()
}
