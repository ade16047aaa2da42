package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/test/bench/lister"
)

// entryMemory is a contest in memory for each entry that a mount knows.
func entryMemory(name, title, notes string) *contest {
	return &contest{
		Name: name, Title: title, Unit: "bytes an entry", Lower: true,
		Notes: notes + " The growth of the resident set of the processes that serve the mount, without memory of the kernel and, for JuiceFS, without Redis; ours has a part of it in a mapped file.",
	}
}

// grow carries out a load and adds by how much the memory of the mount grew for each
// entry to a contest.
func grow(ctx context.Context, memory *contest, c contender, do func() (work, error)) (work, error) {
	before := residentMemory(c.client)
	w, err := do()
	if err != nil || len(c.client) == 0 {
		return w, err
	}
	settle(ctx, c.client)
	e := memory.entry(c.name)
	// A process that frees more than the entries take keeps none of them.
	e.Figures = append(e.Figures, max(0, residentMemory(c.client)-before)/w.amount)
	return w, nil
}

// inodeDirectories are listed in each repetition of the row inodes.
const inodeDirectories = 5

// inodes measures the memory of a mount for each entry that it knows.
func inodes(ctx context.Context, r *run) ([]report, error) {
	b := lister.Bucket{Name: bucket, Directories: 1 + r.repetitions*inodeDirectories, Objects: listedObjects, Size: 4096}
	l, err := r.openWith(ctx, setup{name: "inodes", cacheMiB: 1 << 10, listing: &b, written: b.Directories, loadLimit: 2 * time.Minute})
	if err != nil {
		return nil, err
	}
	listDirectories := func(ctx context.Context, c contender, from, count int) (work, error) {
		var all work
		for i := range count {
			w, err := list(ctx, filepath.Join(c.root, directory(from+i)), listedObjects)
			if err != nil {
				return work{}, err
			}
			all = work{all.amount + w.amount, all.seconds + w.seconds, all.bytes + w.bytes}
		}
		return all, nil
	}
	mounts := func(c contender) bool { return !c.limit }
	// What a first listing allocates once is not counted.
	err = l.race(ctx, 1, &contest{}, mounts, nil, func(ctx context.Context, c contender, _ int) (work, error) {
		return listDirectories(ctx, c, 0, 1)
	}, thousand)
	if err != nil {
		return nil, fmt.Errorf("first listing: %w", err)
	}
	memory := entryMemory("inodes", "Memory of a mount for each entry",
		fmt.Sprintf("%d more directories of %d entries, whose names and attributes are listed.", inodeDirectories, listedObjects))
	listing := &contest{}
	err = l.race(ctx, r.repetitions, listing, mounts, nil, func(ctx context.Context, c contender, n int) (work, error) {
		return grow(ctx, memory, c, func() (work, error) {
			return listDirectories(ctx, c, 1+n*inodeDirectories, inodeDirectories)
		})
	}, thousand)
	memory.Missing = listing.Missing
	return []report{memory}, err
}
