// Package verify reads a mount continuously and checks every byte, while tests
// inject faults into the system that serves it.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/jindo-io/jindo/test/dataset"
)

// Options configure a Reader.
type Options struct {
	// Root is the directory in which the data set is mounted.
	Root  string
	Files []dataset.File
	// Threads is the number of threads that read concurrently.
	Threads int
	// Hold is the number of files that each thread keeps open.
	Hold int
	// Pause is the time between two reads of a thread.
	Pause time.Duration
	Seed  uint64
}

// Report is a report of the reads of a Reader.
type Report struct {
	Reads, Bytes int64
	// Failed is the number of failed reads and opens; Errors has the first few errors.
	Failed int64
	Errors []error
	// Wrong is the number of reads that returned wrong bytes.
	Wrong int64
	// Worst is the longest duration of one open or read.
	Worst time.Duration
}

// String returns the report in one line.
func (r Report) String() string {
	return fmt.Sprintf("%d reads (%.1f MiB), %d failed, %d wrong, worst stall %s",
		r.Reads, float64(r.Bytes)/(1<<20), r.Failed, r.Wrong, r.Worst.Round(time.Millisecond))
}

// Reader reads until it is stopped.
type Reader struct {
	options Options
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu     sync.Mutex
	report Report
}

// errorsKept is the highest number of errors in a report.
const errorsKept = 8

// Start starts reading.
func Start(o Options) *Reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Reader{options: o, cancel: cancel}
	for i := range max(o.Threads, 1) {
		r.done.Go(func() { r.run(ctx, rand.New(rand.NewPCG(o.Seed, uint64(i)))) })
	}
	return r
}

// Stop stops reading and returns the report.
func (r *Reader) Stop() Report {
	r.cancel()
	r.done.Wait()
	return r.Report()
}

// Report returns a copy of the current report.
func (r *Reader) Report() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.report
	report.Errors = append([]error(nil), r.report.Errors...)
	return report
}

// Reset starts a new report and returns the previous one, so that each fault has
// its own.
func (r *Reader) Reset() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.report
	r.report = Report{}
	return report
}

type held struct {
	file dataset.File
	fd   *os.File
}

func (r *Reader) run(ctx context.Context, random *rand.Rand) {
	holds := make([]held, max(r.options.Hold, 1))
	defer func() {
		for _, h := range holds {
			h.close()
		}
	}()
	for ctx.Err() == nil {
		h := &holds[random.IntN(len(holds))]
		if h.fd == nil || random.IntN(4) == 0 {
			h.close()
			h.file = r.options.Files[random.IntN(len(r.options.Files))]
			h.fd = r.open(h.file, random.IntN(2) == 0)
		}
		if h.fd != nil {
			r.read(h, random)
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.options.Pause):
		}
	}
}

// open opens a file, with or without the kernel's page cache, so that half of the
// reads reach the server of the mount.
func (r *Reader) open(f dataset.File, direct bool) *os.File {
	flags := os.O_RDONLY
	if direct {
		flags |= syscall.O_DIRECT
	}
	start := time.Now()
	fd, err := os.OpenFile(filepath.Join(r.options.Root, filepath.FromSlash(f.Path)), flags, 0)
	if errors.Is(err, syscall.EINVAL) {
		fd, err = os.Open(filepath.Join(r.options.Root, filepath.FromSlash(f.Path)))
	}
	r.count(time.Since(start), 0, err, nil)
	return fd
}

func (r *Reader) read(h *held, random *rand.Rand) {
	size := int64(1) << (12 + random.IntN(7))
	offset := int64(0)
	if h.file.Size > 0 {
		offset = random.Int64N(h.file.Size)
	}
	offset &^= alignment - 1
	p := aligned(size)
	start := time.Now()
	n, err := h.fd.ReadAt(p, offset)
	took := time.Since(start)
	want := min(int64(len(p)), h.file.Size-offset)
	switch {
	case errors.Is(err, io.EOF) && int64(n) == want, err == nil:
		r.count(took, n, nil, h.file.Check(p[:n], offset))
	case errors.Is(err, io.EOF):
		r.count(took, n, nil, fmt.Errorf("%s: %d bytes at %d where %d are", h.file.Path, n, offset, want))
	default:
		r.count(took, n, err, nil)
		h.close()
	}
}

// alignment is that of offset, length and memory for direct reads, which some file systems
// require.
const alignment = 4096

func aligned(size int64) []byte {
	p := make([]byte, size+alignment)
	skip := alignment - int64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))%alignment)
	return p[skip : skip+size]
}

func (h *held) close() {
	if h.fd != nil {
		_ = h.fd.Close()
		h.fd = nil
	}
}

func (r *Reader) count(took time.Duration, n int, failed, wrong error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Reads++
	r.report.Bytes += int64(n)
	r.report.Worst = max(r.report.Worst, took)
	if failed != nil {
		r.report.Failed++
	}
	if wrong != nil {
		r.report.Wrong++
	}
	if err := errors.Join(failed, wrong); err != nil && len(r.report.Errors) < errorsKept {
		r.report.Errors = append(r.report.Errors, err)
	}
}

// Walk reads everything below dir of a data set that is mounted at root; "." is the
// whole set. It checks every byte, and that exactly the files of the set and
// dataset.Sums exist.
func Walk(root, dir string, files []dataset.File) (Report, error) {
	var report Report
	want := make(map[string]dataset.File, len(files))
	for _, f := range files {
		if dir == "." || strings.HasPrefix(f.Path, dir+"/") {
			want[f.Path] = f
		}
	}
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("walk the mount: %w", err)
		}
		relative, _ := filepath.Rel(root, path)
		if entry.IsDir() || relative == dataset.Sums {
			return nil
		}
		f, ok := want[filepath.ToSlash(relative)]
		if !ok {
			return fmt.Errorf("the mount contains %s, which is not in the data set", relative)
		}
		delete(want, f.Path)
		start := time.Now()
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read the mount: %w", err)
		}
		report.Reads++
		report.Bytes += int64(len(content))
		report.Worst = max(report.Worst, time.Since(start))
		if int64(len(content)) != f.Size {
			return fmt.Errorf("%s has %d bytes, not %d", f.Path, len(content), f.Size)
		}
		return f.Check(content, 0)
	})
	if err == nil && len(want) > 0 {
		err = fmt.Errorf("the mount lacks %d files of the data set", len(want))
	}
	return report, err
}
