//go:build linux

package fusefs

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// plainSource returns the unchanged buffer, so that only the path to the kernel
// and back is measured.
type plainSource struct{ *fakeSource }

func (s plainSource) Open(context.Context, reader.Version) (File, error) { return plainFile{}, nil }

type plainFile struct{}

func (plainFile) ReadAt(_ context.Context, p []byte, _ int64) (int, error) { return len(p), nil }

func (plainFile) Close() error { return nil }

// BenchmarkRead reads with O_DIRECT, so that each read is one request, with one and
// eight threads.
func BenchmarkRead(b *testing.B) {
	source := plainSource{newFakeSource(reader.Mount{ID: "m", Path: "/"})}
	source.put("m", "file", "1", 1<<30)
	point, _ := mounted(b, source, nil)
	for _, size := range []int{4 << 10, 1 << 20} {
		for _, threads := range []int{1, 8} {
			b.Run(strconv.Itoa(size>>10)+"KiB/"+strconv.Itoa(threads), func(b *testing.B) {
				b.SetBytes(int64(size))
				defer reportCPU(b)()
				var group sync.WaitGroup
				for i := range threads {
					n := b.N / threads
					if i == 0 {
						n += b.N % threads
					}
					group.Go(func() { readDirect(b, filepath.Join(point, "file"), size, n) })
				}
				group.Wait()
			})
		}
	}
}

// readDirect reads n times at random offsets.
func readDirect(b *testing.B, name string, size, n int) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = unix.Close(fd) }()
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = unix.Munmap(memory) }()
	for range n {
		if _, err := unix.Pread(fd, memory, rand.Int64N(1<<18)<<12&^(int64(size)-1)); err != nil {
			b.Error(err)
			return
		}
	}
}

// reportCPU returns a function that reports the CPU time and the context switches
// of this process for each operation.
func reportCPU(b *testing.B) func() {
	var before unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
	return func() {
		var after unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
		used := time.Duration(after.Utime.Nano() - before.Utime.Nano() + after.Stime.Nano() - before.Stime.Nano())
		b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
		b.ReportMetric(float64(after.Nvcsw+after.Nivcsw-before.Nvcsw-before.Nivcsw)/float64(b.N), "switches/op")
	}
}

// BenchmarkOpen opens and closes a file: two requests, each of which changes
// the table.
func BenchmarkOpen(b *testing.B) {
	source := plainSource{newFakeSource(reader.Mount{ID: "m", Path: "/"})}
	source.put("m", "file", "1", 1<<20)
	point, _ := mounted(b, source, nil)
	name := filepath.Join(point, "file")
	defer reportCPU(b)()
	for range b.N {
		fd, err := unix.Open(name, unix.O_RDONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		_ = unix.Close(fd)
	}
}

// BenchmarkLookup looks up a name that the kernel does not cache.
func BenchmarkLookup(b *testing.B) {
	source := plainSource{newFakeSource(reader.Mount{ID: "m", Path: "/"})}
	source.put("m", "file", "1", 1<<20)
	point, _ := mounted(b, source, func(c *Config) { c.EntryTTL, c.AttrTTL = 0, 0 })
	name := filepath.Join(point, "file")
	var stat unix.Stat_t
	for b.Loop() {
		if err := unix.Stat(name, &stat); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTable looks up a known name and replies, without a kernel.
func BenchmarkTable(b *testing.B) {
	table := reopen(b, b.TempDir(), nil, &counter{})
	defer func() { _ = table.close() }()
	names := manyNames(0, 100)
	table.recordLookups(2, names, nil)
	table.replied(2)
	b.Run("lookup", func(b *testing.B) {
		b.ReportAllocs()
		for i := uint64(4); b.Loop(); i += 2 {
			table.recordLookups(i, names[i%100:i%100+1], nil)
			table.replied(i)
		}
	})
	b.Run("getattr", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := table.node(50); !ok {
				b.Fatal("a node is lost")
			}
		}
	})
}

// BenchmarkOpenPassthrough opens and closes one file, in passthrough and in cached
// mode.
func BenchmarkOpenPassthrough(b *testing.B) {
	for name, size := range map[string]int64{"passthrough": 1, "cached": -1} {
		b.Run(name, func(b *testing.B) {
			h, source := newPassthroughMount(b, nil)
			v := source.put("m", "f", "one", passthroughSize)
			source.seal(b, v)
			h.start(b, source, func(c *Config) { c.Passthrough = size })
			path := filepath.Join(h.point, "data/f")
			for b.Loop() {
				fd, err := unix.Open(path, unix.O_RDONLY, 0)
				if err != nil {
					b.Fatal(err)
				}
				_ = unix.Close(fd)
			}
		})
	}
}

// BenchmarkListedNames records the names of one reply to READDIRPLUS, which are known.
func BenchmarkListedNames(b *testing.B) {
	table := reopen(b, b.TempDir(), nil, &counter{})
	defer func() { _ = table.close() }()
	names := manyNames(0, 100)
	var sent []string
	for _, f := range names {
		_, name := split(f.path)
		sent = append(sent, name)
	}
	h := table.openDir(2, rootNode(), false)
	b.ReportAllocs()
	for i := uint64(4); b.Loop(); i += 2 {
		table.recordLookups(i, names, &op{kind: opCursor, handle: h.id, names: sent})
		table.replied(i)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(names)), "ns/name")
}

// BenchmarkWarmListing runs ls -l again and again: in a local directory, through a mount
// whose kernel keeps the names, and through one whose kernel requests them.
func BenchmarkWarmListing(b *testing.B) {
	const files = 100_000
	local := b.TempDir()
	source, names := directoryOf(files)
	source.page = 1000
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(local, name), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	list := func(b *testing.B, dir string) {
		once := func() {
			if out, err := exec.Command("ls", "-l", dir).Output(); err != nil || bytes.Count(out, []byte("\n")) != files+1 {
				b.Fatalf("%d bytes, error %v", len(out), err)
			}
		}
		once()
		for b.Loop() {
			once()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/name")
	}
	b.Run("local", func(b *testing.B) { list(b, local) })
	for name, generation := range map[string]uint64{"kept": 1, "requested": 0} {
		b.Run(name, func(b *testing.B) {
			source.set(func() { source.generation = generation })
			h := newTestMount(b)
			_, stop := h.start(b, source, nil)
			list(b, filepath.Join(h.point, "dir"))
			stop()
		})
	}
}
