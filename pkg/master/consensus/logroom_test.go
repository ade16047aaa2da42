package consensus

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// smallVolume mounts a file system of a size for a test.
func smallVolume(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a file system: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount %s: %s", dir, out)
		}
	})
	return dir
}

// fillVolume writes a file until its file system has no block.
func fillVolume(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for block := make([]byte, 64<<10); len(block) > 0; block = block[:len(block)/2] {
		for err = nil; err == nil; {
			_, err = file.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// guardedLog is the log of a directory on a small volume, as a member uses it.
type guardedLog struct {
	*spaceGuard
	store *failStopDisk
	last  uint64
}

func openGuarded(t *testing.T, dir string) *guardedLog {
	t.Helper()
	path := filepath.Join(dir, "raft.db")
	disk, err := openDisk(path)
	if err != nil {
		t.Fatal(err)
	}
	store := &failStopDisk{
		disk: disk, path: path, timeout: time.Minute, appends: &durations{},
		fail: func(err error) { t.Errorf("the member ends: %v", err) },
	}
	if err := store.check(0); err != nil {
		t.Fatal(err)
	}
	room, err := openLogRoom(path, store)
	if err != nil {
		t.Fatal(err)
	}
	space := newSpace(dir, newCluster(t, 1).logger)
	g := &guardedLog{spaceGuard: &spaceGuard{LogStore: store, space: space, room: room}, store: store, last: store.last.Load()}
	return g
}

func (g *guardedLog) close(t *testing.T) {
	t.Helper()
	if err := errors.Join(g.room.close(), g.store.disk.Close()); err != nil {
		t.Error(err)
	}
}

// append stores an entry of a type.
func (g *guardedLog) append(kind raft.LogType, size int) error {
	err := g.StoreLog(&raft.Log{Index: g.last + 1, Term: g.last + 1, Type: kind, Data: make([]byte, size)})
	if err == nil {
		g.last++
	}
	return err
}

// elect writes what an election writes, a number of times. A failed write ends
// the goroutine, so that it has its own.
func (g *guardedLog) elect(t *testing.T, times int) {
	t.Helper()
	done := make(chan int)
	go func() {
		n := 0
		defer func() { done <- n }()
		for ; n < times; n++ {
			if err := g.store.SetUint64(keyTerm, g.last+1); err != nil {
				return
			}
			if err := g.append(raft.LogNoop, 0); err != nil {
				return
			}
		}
	}()
	if n := <-done; n != times {
		t.Fatalf("%d of %d elections are written on a full volume", n, times)
	}
}

// Others fill the volume to the last byte right after a command was
// acknowledged. Members restart and elect leaders many times, after commands of
// each size.
func TestElectionsFitOnAFullVolume(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 3000, 200_000, 1 << 20} {
		dir := smallVolume(t, "64m")
		g := openGuarded(t, dir)
		for range 12 {
			if err := g.append(raft.LogCommand, size); err != nil {
				t.Fatal(err)
			}
		}
		fillVolume(t, filepath.Join(dir, "another-user"))
		for range 4 {
			g.elect(t, 50)
			if err := g.append(raft.LogCommand, size); !errors.Is(err, ErrDiskFull) {
				t.Errorf("after commands of %d bytes, a command on the full volume: %v", size, err)
			}
			g.close(t)
			g = openGuarded(t, dir)
		}
		g.close(t)
	}
}

// A command is refused, and nothing ends, when the blocks for it are taken after
// the free space was measured.
func TestACommandThatDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	dir := smallVolume(t, "16m")
	g := openGuarded(t, dir)
	defer g.close(t)
	g.space.measure = func(string) (uint64, uint64, error) { return volumeSize, volumeSize, nil }
	fillVolume(t, filepath.Join(dir, "another-user"))
	for range 20 {
		if err := g.append(raft.LogCommand, 100_000); !errors.Is(err, ErrDiskFull) {
			t.Fatalf("a command: %v", err)
		}
	}
	g.elect(t, 50)
}
