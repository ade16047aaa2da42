package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/plan"
)

// memory returns a directory in memory.
func memory(t *testing.T) string {
	t.Helper()
	var stat unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &stat); err != nil || stat.Type != unix.TMPFS_MAGIC {
		t.Skipf("not run: /dev/shm is no tmpfs here (%v)", err)
	}
	dir, err := os.MkdirTemp("/dev/shm", "jindo-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestMemoryTierIsInMemory checks where a tier of the medium MEM is, that it replaces an
// earlier directory on the disk, and that nothing of it is left after a stop.
func TestMemoryTierIsInMemory(t *testing.T) {
	base, l := memory(t), NewLayout(t.TempDir(), "default", "hadoop")
	old := l.tier("worker-0", 0)
	if err := os.MkdirAll(filepath.Join(old, "blocks-v1"), 0o700); err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for i := range 2 {
		dir, err := l.memoryTier(base, "worker-0", i)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := l.memoryTier(base, "worker-0", i); err != nil || again != dir {
			t.Errorf("the second time it is %s, %v", again, err)
		}
		if !strings.HasPrefix(dir, base+"/") {
			t.Errorf("the directory is %s", dir)
		}
		dirs = append(dirs, dir)
		if err := os.WriteFile(filepath.Join(l.tier("worker-0", i), "file"), []byte("x"), 0o600); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
			t.Error(err)
		}
	}
	if len(l.tierDirs()) != 2 {
		t.Errorf("the tiers are %v", l.tierDirs())
	}
	if err := removeTraces(l); err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
	if left, err := os.ReadDir(base); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestForeignLinksAreLeftAlone checks that only directories that the runtime made are
// removed, and that a directory of others is not used.
func TestForeignLinksAreLeftAlone(t *testing.T) {
	base, l := memory(t), NewLayout(t.TempDir(), "default", "hadoop")
	victim := filepath.Join(base, "jindo-x", "y", "worker-0", "0")
	if err := os.MkdirAll(victim, 0o700); err != nil {
		t.Fatal(err)
	}
	link := l.tier("worker-0", 0)
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	if err := removeTraces(l); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
	open := filepath.Join(base, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := ownDirectory(open); err == nil {
		t.Error("a directory that others may write to is used")
	}
	if err := os.Symlink(victim, filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	if err := ownDirectory(filepath.Join(base, "link")); err == nil {
		t.Error("a symbolic link is used")
	}
}

// TestMemoryTierOnADiskIsRefused checks the error for a path that is not in memory.
func TestMemoryTierOnADiskIsRefused(t *testing.T) {
	spec := &Spec{Root: t.TempDir(), Plan: plan.Plan{Namespace: "default", Name: "hadoop"}}
	for path, want := range map[string]bool{memory(t): true, "/proc": false} {
		spec.Plan.Workers = &plan.Component{Replicas: 1, Volumes: []plan.Volume{
			{Kind: plan.VolumeTier, Tier: &plan.Tier{Medium: v1alpha1.MediumMEM, Path: path, Quota: 1}},
			{Kind: plan.VolumeTier, Tier: &plan.Tier{Medium: v1alpha1.MediumSSD, Path: "/proc", Quota: 1}},
		}}
		err := spec.checkMemoryTiers()
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "/dev/shm") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
