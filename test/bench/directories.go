package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/test/bench/lister"
)

// listedObjects is the number of entries of each directory that is listed.
const listedObjects = 10_000

// directories measures the attributes of every entry of a directory, as ls -l and
// find read them.
func directories(ctx context.Context, r *run) ([]report, error) {
	b := lister.Bucket{Name: bucket, Directories: r.repetitions, Objects: listedObjects, Size: 4096}
	l, err := r.openWith(ctx, setup{name: "directories", cacheMiB: 1 << 10, listing: &b, written: b.Directories})
	if err != nil {
		return nil, err
	}
	cold := &contest{
		Name: "directories-cold", Title: "Attributes of a directory, cold", Unit: "entries/s", Per: "1,000 entries",
		Notes: fmt.Sprintf("Names and attributes of %d entries of a directory that no contender has listed before. The store responds after 20 ms with at most 1,000 entries. JuiceFS has them in Redis. Raw: the LISTs alone.", listedObjects),
	}
	restore := l.shape(shaped)
	err = l.race(ctx, r.repetitions, cold, func(c contender) bool { return !c.limit },
		func(ctx context.Context, _ contender, n int) (work, error) {
			return l.rawList(ctx, directory(n)+"/", listedObjects)
		},
		func(ctx context.Context, c contender, n int) (work, error) {
			return list(ctx, filepath.Join(c.root, directory(n)), listedObjects)
		}, thousand)
	restore()
	if err != nil {
		return nil, fmt.Errorf("cold: %w", err)
	}
	warm := &contest{
		Name: "directories-warm", Title: "Attributes of a directory, warm", Unit: "entries/s", Per: "1,000 entries",
		Notes: "The first of these directories again.",
	}
	err = l.race(ctx, r.repetitions, warm, func(contender) bool { return true }, nil,
		func(ctx context.Context, c contender, _ int) (work, error) {
			return list(ctx, filepath.Join(c.root, directory(0)), listedObjects)
		}, thousand)
	if err != nil {
		return nil, fmt.Errorf("warm: %w", err)
	}
	cold.withoutFetched()
	warm.withoutFetched()
	return []report{cold, warm}, nil
}

// directory returns the name of a directory of a listing.
func directory(n int) string { return fmt.Sprintf("d%05d", n) }

// list reads the names of a directory of files and the attributes of each, a batch
// at a time, as ls does.
func list(ctx context.Context, dir string, want int) (work, error) {
	begin := time.Now()
	file, err := os.Open(dir)
	if err != nil {
		return work{}, err
	}
	defer file.Close()
	entries := 0
	for ctx.Err() == nil {
		batch, err := file.ReadDir(1024)
		for _, entry := range batch {
			if _, err := entry.Info(); err != nil {
				return work{}, err
			}
		}
		entries += len(batch)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return work{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return work{}, err
	}
	if entries != want {
		return work{}, fmt.Errorf("%s has %d entries of %d", dir, entries, want)
	}
	return work{float64(entries), time.Since(begin).Seconds(), int64(entries)}, nil
}

func (l *lab) rawList(ctx context.Context, prefix string, want int) (work, error) {
	begin, entries, token := time.Now(), 0, ""
	for {
		page, err := l.raw.List(ctx, ufs.ListOptions{Prefix: prefix, Delimiter: "/", Continuation: token})
		if err != nil {
			return work{}, err
		}
		entries += len(page.Objects)
		if token = page.Next; token == "" {
			break
		}
	}
	if entries != want {
		return work{}, fmt.Errorf("the store lists %d entries of %d", entries, want)
	}
	return work{float64(entries), time.Since(begin).Seconds(), int64(entries)}, nil
}
