package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	l, err := r.openWith(ctx, setup{name: "directories", files: layout{listing: true}, cacheMiB: 1 << 10, listing: &b})
	if err != nil {
		return nil, err
	}
	directory := func(n int) string { return fmt.Sprintf("d%05d", n) }
	cold := &contest{
		Name: "directories-cold", Title: "Attributes of a directory, cold", Unit: "entries/s", Per: "1,000 entries",
		Notes: fmt.Sprintf("Names and attributes of %d entries of a directory that no contender has listed before. The store responds after 20 ms with at most 1,000 entries. JuiceFS has them in Redis. Raw: the LISTs alone.", listedObjects),
	}
	restore := l.shape(shaped)
	err = l.race(ctx, r.repetitions, cold, func(c contender) bool { return !c.limit },
		func(ctx context.Context, _ contender, n int) (work, error) { return l.rawList(ctx, directory(n)+"/") },
		func(ctx context.Context, c contender, n int) (work, error) {
			return walk(ctx, filepath.Join(c.root, directory(n)))
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
			return walk(ctx, filepath.Join(c.root, directory(0)))
		}, thousand)
	if err != nil {
		return nil, fmt.Errorf("warm: %w", err)
	}
	for _, e := range append(cold.Entries, warm.Entries...) {
		e.Fetched = nil // a listing has no size
	}
	return []report{cold, warm}, nil
}

// walk reads names and attributes of all entries below a directory.
func walk(ctx context.Context, dir string) (work, error) {
	begin, entries := time.Now(), 0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		entries++
		if _, err = d.Info(); err != nil {
			return err
		}
		return ctx.Err()
	})
	if err == nil && entries != listedObjects {
		err = fmt.Errorf("%s has %d entries of %d", dir, entries, listedObjects)
	}
	return work{float64(entries), time.Since(begin).Seconds(), int64(entries)}, err
}

func (l *lab) rawList(ctx context.Context, prefix string) (work, error) {
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
	if entries != listedObjects {
		return work{}, errors.New("the store lists too few entries")
	}
	return work{float64(entries), time.Since(begin).Seconds(), int64(entries)}, nil
}
