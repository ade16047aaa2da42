package consensustest

import (
	"os"
	"syscall"
	"testing"
)

const (
	memory = "/dev/shm"
	// memoryNeeded is the space that a fixture may need, in bytes: the members of
	// a few fixtures reserve 32 MiB each.
	memoryNeeded = 2 << 30
)

// directory returns a directory that is removed after the test: in memory where
// there is enough, because a member waits for its disk before it votes. A disk that
// other processes use could delay elections for longer than their timeouts.
func directory(t testing.TB) string {
	t.Helper()
	var system syscall.Statfs_t
	if err := syscall.Statfs(memory, &system); err != nil || system.Bavail*uint64(system.Bsize) < memoryNeeded {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "jindo-masters-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
