package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/test/dataset"
)

const smallThreads = 8

var oneByte = ufs.Range{Length: 1}

func paths(c contender, files []dataset.File) []string {
	all := make([]string, len(files))
	for i, f := range files {
		all[i] = filepath.Join(c.root, f.Path)
	}
	return all
}

// small measures many small files: cold in 8 threads, and warm in random order in
// one.
func small(ctx context.Context, r *run) ([]report, error) {
	l, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	cold := &contest{
		Name: "small-cold", Title: "Small files, cold", Unit: "files/s", Per: "1,000 files",
		Notes: fmt.Sprintf("%d files of 4 to 64 KiB in directories of %d that no contender has read before, %d threads. The store responds after 20 ms.", smallFiles, directoryFiles, smallThreads),
	}
	if err := l.warmStore(flatten(l.files.small)); err != nil {
		return nil, err
	}
	restore := l.shape(shaped)
	err = l.race(ctx, r.repetitions, cold, func(c contender) bool { return !c.limit },
		func(ctx context.Context, _ contender, n int) (work, error) {
			return l.rawFiles(ctx, l.files.small[n], smallThreads)
		},
		func(ctx context.Context, c contender, n int) (work, error) {
			return readFiles(ctx, paths(c, l.files.small[n]), false, smallThreads)
		}, thousand)
	restore()
	if err != nil {
		return nil, fmt.Errorf("cold: %w", err)
	}
	warm := &contest{
		Name: "small-warm", Title: "Small files, warm", Unit: "files/s", Per: "1,000 files",
		Notes: "The same files again, in random order, one thread; the mount keeps what it keeps by default.",
	}
	err = l.race(ctx, r.repetitions, warm, func(c contender) bool { return c.caches }, nil,
		func(ctx context.Context, c contender, n int) (work, error) {
			all := paths(c, l.files.small[0])
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			return readFiles(ctx, all, false, 1)
		}, thousand)
	if err != nil {
		return nil, fmt.Errorf("warm: %w", err)
	}
	return []report{cold, warm}, l.verify(l.files.small[0])
}

func flatten(sets [][]dataset.File) []dataset.File {
	var all []dataset.File
	for _, set := range sets {
		all = append(all, set...)
	}
	return all
}

// firstByte measures open and one byte of files that no cache has.
func firstByte(ctx context.Context, r *run) ([]report, error) {
	l, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.warmStore(flatten(l.files.first)); err != nil {
		return nil, err
	}
	result := &contest{
		Name: "first-byte", Title: "First byte, cold", Unit: "ms, median", Per: "1,000 files", Lower: true,
		Notes: fmt.Sprintf("open and read one byte, one file after the other, of %d files of 256 KiB to 1 MiB that no contender has read before. The store responds after 20 ms. Raw requests fetch one byte.", firstFiles),
	}
	defer l.shape(shaped)()
	err = l.race(ctx, r.repetitions, result, func(c contender) bool { return !c.limit },
		func(ctx context.Context, _ contender, n int) (work, error) {
			took, err := l.rawFirst(ctx, l.files.first[n])
			return medianOf(took), err
		},
		func(_ context.Context, c contender, n int) (work, error) {
			took, err := firstBytes(paths(c, l.files.first[n]))
			return medianOf(took), err
		}, thousandBytes)
	if err != nil {
		return nil, err
	}
	result.withoutFetched()
	return []report{result}, l.verify(l.files.first[0])
}

// medianOf makes one figure of the durations of a repetition. One byte was read for
// each.
func medianOf(took []float64) work {
	return work{amount: quantile(took, 0.5), seconds: 1, bytes: int64(len(took))}
}

func (l *lab) rawFirst(ctx context.Context, files []dataset.File) ([]float64, error) {
	var took []float64
	for _, f := range files {
		begin := time.Now()
		if err := l.rawGet(ctx, f.Path, oneByte); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(begin).Microseconds())/1e3)
	}
	return took, nil
}
