package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// work is what a load did: how much in the unit of its throughput, in how many
// seconds, and the bytes that it read.
type work struct {
	amount, seconds float64
	bytes           int64
}

func (w work) throughput() float64 { return w.amount / w.seconds }

const mib = 1 << 20

// openFile opens a file without its pages in the page cache of its own file
// system. For a file of a FUSE mount, those of the files below the mount remain.
func openFile(path string, drop bool) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if !drop {
		return file, nil
	}
	if err := unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("drop the pages of %s: %w", path, err)
	}
	return file, nil
}

// sequential reads a file from its beginning to its end in steps of 1 MiB.
func sequential(path string, drop bool) (work, error) {
	file, err := openFile(path, drop)
	if err != nil {
		return work{}, err
	}
	defer file.Close()
	begin, p := time.Now(), make([]byte, mib)
	var total int64
	for {
		n, err := file.Read(p)
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return work{float64(total) / mib, time.Since(begin).Seconds(), total}, nil
		}
		if err != nil {
			return work{}, fmt.Errorf("read: %w", err)
		}
	}
}

// random reads blocks at random offsets, aligned to their size, for a second.
// Each thread has a descriptor of its own. The amount is the number of blocks.
func random(path string, drop bool, block int64, threads int) (work, error) {
	var reads atomic.Int64
	begin := time.Now()
	var group errgroup.Group
	for range threads {
		group.Go(func() error {
			file, err := openFile(path, drop)
			if err != nil {
				return err
			}
			defer file.Close()
			return randomUntil(file, block, begin.Add(time.Second), &reads)
		})
	}
	if err := group.Wait(); err != nil {
		return work{}, err
	}
	return work{float64(reads.Load()), time.Since(begin).Seconds(), reads.Load() * block}, nil
}

func randomUntil(file *os.File, block int64, end time.Time, reads *atomic.Int64) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
		return fmt.Errorf("advise: %w", err)
	}
	p := make([]byte, block)
	for time.Now().Before(end) {
		if _, err := file.ReadAt(p, rand.Int64N(info.Size()/block)*block); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		reads.Add(1)
	}
	return nil
}

// mapped maps a file in another process and reads one byte of each page, each
// thread in a part of its own, as loaders of model weights do. A goroutine that
// waits for a page keeps its processor, and the proxy to the store in this process
// must not wait for it.
func mapped(ctx context.Context, path string, drop bool, threads int) (work, error) {
	self, err := os.Executable()
	if err != nil {
		return work{}, err
	}
	command := exec.CommandContext(ctx, self, "-map", path, "-threads", strconv.Itoa(threads), "-drop="+strconv.FormatBool(drop))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return work{}, fmt.Errorf("map %s: %w: %s", path, err, firstLine(stderr.Bytes()))
	}
	var w work
	if _, err := fmt.Sscan(string(out), &w.bytes, &w.seconds); err != nil {
		return work{}, fmt.Errorf("map %s: %w", path, err)
	}
	w.amount = float64(w.bytes) / mib
	return w, nil
}

func firstLine(out []byte) []byte {
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return line
}

// mapHere is the load of mapped. It prints the size of the file and the seconds
// that it took.
func mapHere(path string, drop bool, threads int) error {
	file, err := openFile(path, drop)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(max(threads, runtime.NumCPU()))
	begin := time.Now()
	memory, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map: %w", err)
	}
	var readers sync.WaitGroup
	var sum atomic.Uint64
	part := len(memory) / threads
	for i := range threads {
		readers.Go(func() {
			var s uint64
			for at := i * part; at < (i+1)*part; at += 4096 {
				s += uint64(memory[at])
			}
			sum.Add(s)
		})
	}
	readers.Wait()
	fmt.Println(info.Size(), time.Since(begin).Seconds())
	return unix.Munmap(memory)
}

// readFiles opens, reads and closes each file, in a number of threads; drop is that
// of openFile. The amount is the number of files.
func readFiles(ctx context.Context, paths []string, drop bool, threads int) (work, error) {
	var next, total atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	begin := time.Now()
	for range threads {
		group.Go(func() error {
			p := make([]byte, 128<<10)
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(paths) {
					return nil
				}
				n, err := readFile(paths[i], drop, p)
				if err != nil {
					return err
				}
				total.Add(n)
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return work{}, err
	}
	return work{float64(len(paths)), time.Since(begin).Seconds(), total.Load()}, nil
}

func readFile(path string, drop bool, p []byte) (int64, error) {
	file, err := openFile(path, drop)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var total int64
	for {
		n, err := file.Read(p)
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read: %w", err)
		}
	}
}

// firstBytes opens each file and reads one byte, one after the other, and returns
// the durations in milliseconds.
func firstBytes(paths []string) ([]float64, error) {
	var took []float64
	for _, path := range paths {
		begin := time.Now()
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		_, err = file.ReadAt(make([]byte, 1), 0)
		took = append(took, float64(time.Since(begin).Microseconds())/1e3)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("read a byte: %w", err)
		}
	}
	return took, nil
}
