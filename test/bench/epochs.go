package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/jindo-io/jindo/test/bench/shaper"
	"github.com/jindo-io/jindo/test/dataset"
)

// Sizes of the set that is read in epochs, which is twice the cache.
const (
	epochFiles   = 96
	epochSize    = 8 << 20
	epochThreads = 4
)

// epochs measures a data set of twice the cache that is read again and again,
// each time in another order, as training does. The share of the bytes that came
// from caches is the figure: one of the least recently used has next to none of a
// set that is read in a loop.
func epochs(ctx context.Context, r *run) ([]report, error) {
	var files []dataset.File
	for i := range epochFiles {
		files = append(files, dataset.File{Path: fmt.Sprintf("epochs/part-%03d.tar", i), Size: epochSize})
	}
	l, err := r.openWith(ctx, setup{name: "epochs", files: layout{epochs: files}, cacheMiB: epochFiles * epochSize / 2 / mib})
	if err != nil {
		return nil, err
	}
	result := &contest{
		Name: "epochs", Title: "Epochs over twice the cache", Unit: "MiB/s", Per: "GiB",
		Notes: fmt.Sprintf("%d files of %d MiB in another random order each time, %d threads, with a cache of half of them and none in the page cache of the mount; measured from the second time on. The store responds after 20 ms, with 100 MB/s a connection and 300 MB/s in all. The bytes fetched show the share that the cache missed.", epochFiles, epochSize/mib, epochThreads),
	}
	defer l.shape(shaped)()
	bounded := func(c contender) bool { return c.bounded }
	read := func(ctx context.Context, c contender, n int) (work, error) {
		all := paths(c, files)
		random := rand.New(rand.NewPCG(uint64(n), 3)) // the same order for each contender
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		w, err := readFiles(ctx, all, true, epochThreads)
		w.amount = float64(w.bytes) / mib
		return w, err
	}
	l.shape(shaper.Shape{})
	if err := l.race(ctx, 1, &contest{}, bounded, nil, func(ctx context.Context, c contender, _ int) (work, error) { return read(ctx, c, 1000) }, gib); err != nil {
		return nil, err
	}
	l.shape(shaped)
	if err := l.race(ctx, r.repetitions, result, bounded, nil, read, gib); err != nil {
		return nil, err
	}
	return []report{result}, l.verify(files)
}
