package tmpfs_test

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/tmpfs"
)

// TestContains compares with what is known of directories of every Linux system.
func TestContains(t *testing.T) {
	var stat unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &stat); err != nil || stat.Type != unix.TMPFS_MAGIC {
		t.Skipf("not run: /dev/shm is no tmpfs here (%v)", err)
	}
	for path, want := range map[string]bool{
		"/dev/shm":                     true,
		"/dev/shm/jindo-test/not/here": true,
		"/proc":                        false,
		"/proc/not-here":               false,
	} {
		got, err := tmpfs.Contains(path)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	if _, err := tmpfs.Contains(filepath.Join("/proc/self/status", "x")); err == nil {
		t.Error("a path below a file is no error")
	}
}
