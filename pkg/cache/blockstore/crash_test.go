package blockstore

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"
)

// crashChild makes the test binary run as the process that is killed.
const crashChild = "JINDO_TEST_CRASH_DIR"

const crashObjects = 20

// crashOrigin returns the same object in both processes.
func crashOrigin(i int) *origin { return newOrigin(uint64(i), 10_000+i*27_123) }

// crashWriter fills a small store, with evictions, until it is killed. It
// prints its progress on stdout.
func crashWriter(dir string) {
	s, err := Open(crashConfig(dir))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var origins []*origin
	for i := range crashObjects {
		origins = append(origins, crashOrigin(i))
	}
	for round := 0; ; round++ {
		for range 2 * crashObjects {
			i := rand.IntN(crashObjects)
			o := origins[i]
			offset := rand.Int64N(int64(len(o.data)))
			length := min(1+rand.Int64N(300_000), int64(len(o.data))-offset)
			got, _, err := read(s, o.key(fmt.Sprint(i)), offset, length, o.fetch)
			if err != nil || string(got) != string(o.data[offset:offset+length]) {
				fmt.Println("error reading", i, err)
				os.Exit(1)
			}
		}
		fmt.Println("round", round)
	}
}

func crashConfig(dir string) Config {
	// Smaller than all objects together, so that it evicts.
	return Config{Tiers: []Tier{{Path: dir, Quota: 4 << 20, Floor: 1}}, BlockSize: 32 << 10}
}

// TestCrash kills a process that writes a store, repeatedly: every block found
// afterwards is correct.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	rounds := 3
	if testing.Short() {
		rounds = 2
	}
	kept := 0
	for round := range rounds {
		kill(t, dir, time.Duration(round*7)*time.Millisecond)
		kept += checkKept(t, dir)
	}
	if kept == 0 {
		t.Error("no block survived a crash: the test proves nothing")
	}
}

// kill ends the child some time after it has finished one round.
func kill(t *testing.T, dir string, more time.Duration) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashChild+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "round 0\n" {
		t.Errorf("the child printed %q, %v", line, err)
	}
	time.Sleep(more)
	_ = child.Process.Kill()
	_, _ = io.Copy(io.Discard, out)
	_ = child.Wait()
}

// checkKept reads every block in the index, and returns their number.
func checkKept(t *testing.T, dir string) int {
	t.Helper()
	s, err := Open(crashConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, s)
	if err := s.Stats().Tiers[0].Err; err != nil {
		t.Fatalf("the tier is not usable after a crash: %v", err)
	}
	kept := 0
	for i := range crashObjects {
		o := crashOrigin(i)
		key := o.key(fmt.Sprint(i))
		for b := range blocksOf(key.Size, s.config.BlockSize) {
			offset, length := blockRange(key, s.config.BlockSize, b)
			got, _, err := read(s, key, offset, length, nil)
			if err != nil {
				continue
			}
			kept++
			if string(got) != string(o.data[offset:offset+length]) {
				t.Errorf("object %d, block %d: wrong bytes after a crash", i, b)
			}
		}
		mustRead(t, s, o, fmt.Sprint(i), 0, key.Size, o.fetch)
	}
	return kept
}

// TestDiskFull fills a real file system: reads continue, the tier reports the
// error, and is used again when there is space.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: mounting a tmpfs needs root")
	}
	dir := t.TempDir()
	mountTmpfs(t, dir, "8m")
	s := open(t, testConfig(t, func(c *Config) {
		c.Tiers = []Tier{{Path: dir, Quota: 64 << 20, Floor: 1}} // larger than the file system
		c.Retry = time.Nanosecond
	}))
	var origins []*origin
	for i := range 24 {
		o := newOrigin(uint64(i), 1<<20)
		origins = append(origins, o)
		mustRead(t, s, o, fmt.Sprint(i), 0, 1<<20, o.fetch)
	}
	eventually(t, "the tier reports the error", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.tiers[0].dirtyBytes == 0
	})
	for i, o := range origins {
		mustRead(t, s, o, fmt.Sprint(i), 0, 1<<20, o.fetch)
	}
	fill := dir + "/other"
	if err := os.Remove(fill); err == nil {
		t.Fatal("unexpected file")
	}
	eventually(t, "the tier is taken back into use", func() bool {
		s.tick()
		return s.Stats().Tiers[0].Err == nil
	})
}

func mountTmpfs(t *testing.T, dir, size string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "jindo-test", dir).CombinedOutput(); err != nil {
		t.Skipf("not run: a tmpfs cannot be mounted here: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.Background(), "umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("unmounting: %s", out)
		}
	})
}
