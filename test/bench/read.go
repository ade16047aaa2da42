package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/testbed"
)

const (
	repetitions = 5
	bigFile     = 192 << 20
	// getStreams is the number of concurrent range GETs of the raw peer.
	getStreams = 16
	getSize    = 4 << 20
)

// reading is one way to read a file.
type reading struct {
	what, unit, limit string
	// cold files have not been read before.
	cold bool
	do   func(ctx context.Context, f dataset.File) (float64, error)
}

// read measures one thread that reads through the mount, compared with a plain file
// and with raw GETs from the same store.
func read(ctx context.Context, bin, dir string) (table, error) {
	// Each repetition reads a new file cold, and the last one warm.
	files := dataset.Plan(dataset.Options{Files: repetitions + 1, Large: repetitions + 1, LargeSize: bigFile})
	s, err := testbed.Open(ctx, testbed.Options{Bin: bin, Dir: dir, Store: "oss", Files: files})
	if err != nil {
		return table{}, err
	}
	defer s.Close()
	defer func() { _ = s.Down(context.WithoutCancel(ctx)) }()
	store, err := drivers.Open(ctx, s.Store.MountPoint, s.Store.DriverOptions(), s.Store)
	if err != nil {
		return table{}, err
	}
	defer store.Close()

	plain := func(f dataset.File) string { return filepath.Join(s.Store.Dir, f.Path) }
	mounted := func(f dataset.File) string { return filepath.Join(s.Root(), f.Path) }
	readings := []reading{
		{"raw GETs, 16 in parallel", "MiB/s", "", true, func(ctx context.Context, f dataset.File) (float64, error) { return rawGets(ctx, store, f) }},
		{"mount, cold", "MiB/s", "raw GETs, 16 in parallel", true, func(_ context.Context, f dataset.File) (float64, error) { return sequential(mounted(f), true) }},
		{"plain file, sequential", "MiB/s", "", false, func(_ context.Context, f dataset.File) (float64, error) { return sequential(plain(f), false) }},
		{"mount warm, sequential", "MiB/s", "plain file, sequential", false, func(_ context.Context, f dataset.File) (float64, error) { return sequential(mounted(f), true) }},
		{"plain file, random 4K", "reads/s", "", false, func(_ context.Context, f dataset.File) (float64, error) { return random4K(plain(f), false) }},
		{"mount warm, random 4K", "reads/s", "plain file, random 4K", false, func(_ context.Context, f dataset.File) (float64, error) { return random4K(mounted(f), true) }},
	}
	warm := files[repetitions]
	if _, err := sequential(mounted(warm), true); err != nil {
		return table{}, err
	}
	t := table{
		Title: "Reads through the mount",
		Notes: fmt.Sprintf("One thread, files of %d MiB, the OSS protocol server on loopback without shaping. Warm: plain file and worker's file are in the page cache of the disk, the mount's own pages are dropped before each figure.", bigFile>>20),
	}
	for _, r := range readings {
		t.Series = append(t.Series, series{What: r.what, Unit: r.unit, Limit: r.limit})
	}
	for n := range repetitions {
		for i := range readings {
			// The order rotates, so that no peer is always first.
			k := (i + n) % len(readings)
			f := warm
			if readings[k].cold {
				f = files[n]
			}
			figure, err := readings[k].do(ctx, f)
			if err != nil {
				return table{}, fmt.Errorf("%s: %w", readings[k].what, err)
			}
			t.Series[k].Figures = append(t.Series[k].Figures, figure)
		}
	}
	return t, nil
}

// open opens a file. A file on the mount is first dropped from the mount's cache, so
// that both it and a plain file are read from the page cache of the disk.
func open(path string, mounted bool) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	if !mounted {
		return file, nil
	}
	if err := unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		file.Close()
		return nil, fmt.Errorf("dropping pages of %s: %w", path, err)
	}
	return file, nil
}

// sequential reads a file sequentially in steps of 1 MiB, and returns MiB/s.
func sequential(path string, mounted bool) (float64, error) {
	file, err := open(path, mounted)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	start, p := time.Now(), make([]byte, 1<<20)
	var total int
	for {
		n, err := file.Read(p)
		total += n
		if errors.Is(err, io.EOF) {
			return float64(total) / (1 << 20) / time.Since(start).Seconds(), nil
		}
		if err != nil {
			return 0, fmt.Errorf("reading: %w", err)
		}
	}
}

// random4K reads 4 KiB at random offsets for a second, and returns reads/s.
func random4K(path string, mounted bool) (float64, error) {
	file, err := open(path, mounted)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if err := unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
		return 0, fmt.Errorf("advising: %w", err)
	}
	start, p, reads := time.Now(), make([]byte, 4096), 0
	for time.Since(start) < time.Second {
		if _, err := file.ReadAt(p, rand.Int64N(bigFile/4096)*4096); err != nil {
			return 0, fmt.Errorf("reading: %w", err)
		}
		reads++
	}
	return float64(reads) / time.Since(start).Seconds(), nil
}

// rawGets fetches an object as concurrent ranges, discards it, and returns MiB/s.
func rawGets(ctx context.Context, store ufs.Store, f dataset.File) (float64, error) {
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(getStreams)
	for offset := int64(0); offset < f.Size; offset += getSize {
		group.Go(func() error {
			body, _, err := store.Get(ctx, f.Path, ufs.Range{Offset: offset, Length: getSize}, "")
			if err != nil {
				return err
			}
			defer body.Close()
			_, err = io.Copy(io.Discard, body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("fetching: %w", err)
	}
	return float64(f.Size) / (1 << 20) / time.Since(start).Seconds(), nil
}
