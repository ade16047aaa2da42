package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/test/bench/shaper"
	"github.com/jindo-io/jindo/test/dataset"
)

const loopback = "The store is versitygw on loopback. "

func discard(body io.Reader) (int64, error) { return io.Copy(io.Discard, body) }

// warm measures reads of a file that is in every contender's cache, which is in
// the page cache; the mount's own pages are dropped first.
func warm(ctx context.Context, r *run) ([]report, error) {
	l, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.fill(ctx); err != nil {
		return nil, err
	}
	caches := func(c contender) bool { return c.caches }
	loads := []struct {
		name, title, unit string
		do                func(ctx context.Context, path string, drop bool) (work, error)
	}{
		{"warm-sequential", "Sequential, 1 MiB, warm", "MiB/s", func(_ context.Context, p string, drop bool) (work, error) { return sequential(p, drop) }},
		{"warm-random-128k", "Random, 128 KiB, warm", "reads/s", func(_ context.Context, p string, drop bool) (work, error) { return random(p, drop, 128<<10, 1) }},
		{"warm-random-4k", "Random, 4 KiB, warm", "reads/s", func(_ context.Context, p string, drop bool) (work, error) { return random(p, drop, 4<<10, 1) }},
		{"warm-random-4k-8", "Random, 4 KiB, 8 threads, warm", "reads/s", func(_ context.Context, p string, drop bool) (work, error) { return random(p, drop, 4<<10, 8) }},
		{"warm-mmap", "Mapped, 4 threads, warm", "MiB/s", func(ctx context.Context, p string, drop bool) (work, error) { return mapped(ctx, p, drop, 4) }},
	}
	var reports []report
	for _, load := range loads {
		result := &contest{
			Name: load.name, Title: load.title, Unit: load.unit, Per: "GiB",
			Notes: fmt.Sprintf("A file of %d MiB in the cache of each contender, that cache in the page cache, the mount's own pages dropped before each figure.", warmSize>>20),
		}
		err := l.race(ctx, r.repetitions, result, caches, nil, func(ctx context.Context, c contender, _ int) (work, error) {
			// The pages of a plain file are its cache.
			return load.do(ctx, filepath.Join(c.root, l.files.warm.Path), !c.limit)
		}, gib)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", load.name, err)
		}
		reports = append(reports, result)
	}
	return reports, nil
}

// fill lets each contender cache the warm file, and verifies what it reads.
func (l *lab) fill(ctx context.Context) error {
	if l.filled {
		return nil
	}
	l.filled = true
	contenders, err := l.contenders()
	if err != nil {
		return err
	}
	for _, c := range contenders {
		if !c.caches {
			continue
		}
		if err := l.fillOne(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// fillOne reads the warm file twice, and then until a pass takes nothing from the
// store, at most 5 times.
func (l *lab) fillOne(ctx context.Context, c contender) error {
	for n := range 5 {
		before := l.proxy.Counts()
		if err := verifyFiles(c, []dataset.File{l.files.warm}); err != nil {
			return err
		}
		settle(ctx, c.pids)
		if n > 0 && l.proxy.Counts().Since(before).Received < mib {
			break
		}
	}
	return ctx.Err()
}

// cold measures one thread that reads a file which no cache has, with an unshaped
// store and with one at some distance.
func cold(ctx context.Context, r *run) ([]report, error) {
	l, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	var reports []report
	for _, variant := range []struct {
		name, title, notes string
		files              []dataset.File
		shape              shaper.Shape
	}{
		{"cold-sequential", "Sequential, cold", loopback, l.files.cold, shaper.Shape{}},
		{"cold-sequential-shaped", "Sequential, cold, a store at some distance", "The store responds after 20 ms, with 100 MB/s a connection and 300 MB/s in all. ", l.files.shaped, shaped},
	} {
		result := &contest{
			Name: variant.name, Title: variant.title, Unit: "MiB/s", Per: "GiB",
			Notes: variant.notes + fmt.Sprintf("One thread, a file of %d MiB that no contender has read before. Raw: 16 ranges of 4 MiB in parallel.", coldSize>>20),
		}
		if err := l.warmStore(variant.files); err != nil {
			return nil, err
		}
		restore := l.shape(variant.shape)
		err := l.race(ctx, r.repetitions, result, func(c contender) bool { return !c.limit },
			func(ctx context.Context, _ contender, n int) (work, error) { return l.rawGets(ctx, variant.files[n]) },
			func(_ context.Context, c contender, n int) (work, error) {
				return sequential(filepath.Join(c.root, variant.files[n].Path), false)
			}, gib)
		restore()
		if err == nil {
			err = l.verify(variant.files[:1])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variant.name, err)
		}
		reports = append(reports, result)
	}
	return reports, nil
}

// herdReaders read one object at the same time.
const herdReaders = 32

// herd measures many readers of one file that no cache has.
func herd(ctx context.Context, r *run) ([]report, error) {
	l, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.warmStore(l.files.herd); err != nil {
		return nil, err
	}
	result := &contest{
		Name: "herd", Title: "32 readers of one cold file", Unit: "MiB/s", Per: "GiB read",
		Notes: fmt.Sprintf("%d threads read a file of %d MiB that no contender has read before. The store responds after 20 ms, with 100 MB/s a connection and 300 MB/s in all. Throughput counts what the readers received; the bytes fetched are divided by the size of the file.", herdReaders, herdSize>>20),
	}
	defer l.shape(shaped)()
	err = l.race(ctx, r.repetitions, result, func(c contender) bool { return !c.limit }, nil,
		func(_ context.Context, c contender, n int) (work, error) {
			return together(filepath.Join(c.root, l.files.herd[n].Path))
		}, gib)
	if err != nil {
		return nil, err
	}
	for _, e := range result.Entries {
		for i := range e.Fetched {
			e.Fetched[i] *= herdReaders
		}
	}
	return []report{result}, l.verify(l.files.herd[:1])
}

// together reads a file in many threads at the same time.
func together(path string) (work, error) {
	var group errgroup.Group
	begin := time.Now()
	for range herdReaders {
		group.Go(func() error {
			_, err := sequential(path, false)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return work{}, err
	}
	total := int64(herdReaders) * herdSize
	return work{float64(total) / mib, time.Since(begin).Seconds(), total}, nil
}
