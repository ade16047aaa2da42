package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/test/bench/peer"
	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/testbed"
)

// defaultsName is our contender without -oimmutable.
const defaultsName = "jindo with the default options"

// profiledMiB is the size of the cache of each mount of this row.
const profiledMiB = 1024

// immutable measures many small files that are in the page cache: the immutable
// profile beside the default one and beside the plain files.
func immutable(ctx context.Context, r *run) ([]report, error) {
	files := layout{small: [][]dataset.File{smallSet("small", smallFiles, 4<<10, 64<<10, 1)}}
	without := map[string]string{}
	for _, name := range peer.Names() {
		without[name] = "the row compares profiles of our mount"
	}
	l, err := r.openWith(ctx, setup{name: "immutable", files: files, cacheMiB: profiledMiB, without: without})
	if err != nil {
		return nil, err
	}
	result := &contest{
		Name: "immutable", Title: "Small files, warm, immutable profile", Unit: "files/s", Per: "1,000 files",
		Notes: fmt.Sprintf("%d files of 4 to 64 KiB that were read before, in random order, one thread. jindo is mounted with `-oimmutable`.", smallFiles),
	}
	profiled, err := openProfiled(ctx, l, r)
	if err != nil {
		return nil, err
	}
	defer closeTestbed(ctx, profiled)
	contenders, err := l.profiles(profiled)
	if err != nil {
		return nil, err
	}
	for _, c := range contenders {
		if _, err := readFiles(ctx, paths(c, files.small[0]), false, smallThreads); err != nil {
			return nil, fmt.Errorf("first pass of %s: %w", c.name, err)
		}
	}
	shuffled := func(ctx context.Context, c contender, _ int) (work, error) {
		all := paths(c, files.small[0])
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return readFiles(ctx, all, false, 1)
	}
	if err := (race{r.repetitions, result, contenders, shuffled, nil, thousand, l.proxy, loadLimit}).run(ctx); err != nil {
		return nil, err
	}
	for _, c := range contenders {
		if err := verifyFiles(c, files.small[0]); err != nil {
			return nil, err
		}
	}
	return []report{result}, nil
}

// profiles returns the plain files, the mount with the profile and that with the
// defaults.
func (l *lab) profiles(profiled *testbed.Testbed) ([]contender, error) {
	all, err := l.contenders()
	if err != nil {
		return nil, err
	}
	pids, err := profiled.PIDs()
	if err != nil {
		return nil, err
	}
	var chosen []contender
	for _, c := range all {
		switch {
		case c.limit:
			chosen = append(chosen, c)
		case c.name == ours:
			c.name = defaultsName
			chosen = append(chosen, c, contender{name: ours, root: profiled.Root(), pids: pids, caches: true, bounded: true})
		}
	}
	return chosen, nil
}

// openProfiled starts another runtime for the store of a lab, with -oimmutable.
func openProfiled(ctx context.Context, l *lab, r *run) (*testbed.Testbed, error) {
	keys, err := credentials{}.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(r.dir, "i")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("start the immutable profile: %w", err)
	}
	return testbed.Open(ctx, testbed.Options{
		Bin: r.bin, Dir: dir, FuseArgs: []string{"-oimmutable"},
		Bucket: &testbed.Bucket{Name: bucket, Endpoint: l.endpoint(), Credentials: keys},
		Tiers:  fmt.Sprintf("[{mediumtype: SSD, path: /mnt/disk1, quota: %dMi}]", profiledMiB/workers),
	})
}

func closeTestbed(ctx context.Context, t *testbed.Testbed) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := t.Down(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	t.Close()
}
