package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/test/bench/lister"
)

const (
	millionKeys = 1_000_000
	// millionRepetitions bounds the repetitions: each fills mounts and kernel with
	// a million entries of another directory.
	millionRepetitions = 3
	// millionLimit is the timeout of one listing of a peer.
	millionLimit = 3 * time.Minute
)

// million measures a directory of a million keys: its first listing, the memory
// that the mount has then, and a second listing.
func million(ctx context.Context, r *run) ([]report, error) {
	repetitions := min(r.repetitions, millionRepetitions)
	b := lister.Bucket{Name: bucket, Directories: repetitions, Objects: millionKeys, Size: 4096}
	l, err := r.openWith(ctx, setup{
		name: "million", cacheMiB: 1 << 10, listing: &b, written: 1, loadLimit: millionLimit,
		without: map[string]string{"juicefs": "a million files would have to be copied into it one by one for each repetition"},
	})
	if err != nil {
		return nil, err
	}
	cold := &contest{
		Name: "million-cold", Title: "A directory of a million keys, cold", Unit: "entries/s", Per: "1,000 entries",
		Notes: fmt.Sprintf("Names and attributes of %d entries of one directory that no contender has listed before; peers have %.0f minutes. The store lists at most 1,000 entries a request, without delay. Raw: the LISTs alone.", millionKeys, millionLimit.Minutes()),
	}
	memory := entryMemory("million-memory", "A directory of a million keys: memory of the mount for each entry", "After the first listing.")
	listed := func(ctx context.Context, c contender, n int) (work, error) {
		return list(ctx, filepath.Join(c.root, directory(n)), millionKeys)
	}
	err = l.race(ctx, repetitions, cold, func(c contender) bool { return !c.limit },
		func(ctx context.Context, _ contender, n int) (work, error) {
			return l.rawList(ctx, directory(n)+"/", millionKeys)
		},
		func(ctx context.Context, c contender, n int) (work, error) {
			return grow(ctx, memory, c, func() (work, error) { return listed(ctx, c, n) })
		}, thousand)
	if err != nil {
		return nil, fmt.Errorf("cold: %w", err)
	}
	memory.Missing = cold.Missing
	warm := &contest{
		Name: "million-warm", Title: "A directory of a million keys, warm", Unit: "entries/s", Per: "1,000 entries",
		Notes: "The first of these directories again.",
	}
	err = l.race(ctx, repetitions, warm, func(contender) bool { return true }, nil,
		func(ctx context.Context, c contender, _ int) (work, error) { return listed(ctx, c, 0) }, thousand)
	if err != nil {
		return nil, fmt.Errorf("warm: %w", err)
	}
	cold.withoutFetched()
	warm.withoutFetched()
	return []report{cold, memory, warm}, nil
}
