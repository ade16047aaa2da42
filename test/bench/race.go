package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/test/bench/shaper"
	"github.com/jindo-io/jindo/test/dataset"
)

// load is what each contender carries out in each repetition.
type load func(ctx context.Context, c contender, repetition int) (work, error)

// race is a load that contenders carry out in turns.
type race struct {
	repetitions int
	result      *contest
	contenders  []contender
	// do is the load; raw is that of the contender rawName.
	do, raw load
	// divide returns what the processor time and the requests are divided by.
	divide func(work) float64
	// proxy, unless nil, counts the requests to the store.
	proxy *shaper.Proxy
	// limit is the timeout of one load of a peer.
	limit time.Duration
}

// race lets each contender carry out a load, as often as the run repeats. raw,
// unless nil, takes part as a limit without a mount. divide returns what CPU and
// requests are divided by.
func (l *lab) race(ctx context.Context, repetitions int, result *contest, takes func(contender) bool, raw, do load, divide func(work) float64) error {
	contenders, err := l.contenders()
	if err != nil {
		return err
	}
	if raw != nil {
		contenders = append([]contender{{name: rawName, limit: true}}, contenders...)
	}
	contenders = slices.DeleteFunc(contenders, func(c contender) bool { return c.name != rawName && !takes(c) })
	result.Missing = slices.Clone(l.missing)
	return race{repetitions, result, contenders, do, raw, divide, l.proxy, cmp.Or(l.loadLimit, loadLimit)}.run(ctx)
}

// run carries out the load. The order rotates, so that no contender is always
// first. A peer that fails is left out with the reason.
func (r race) run(ctx context.Context) error {
	for _, c := range r.contenders {
		r.result.entry(c.name).Limit = c.limit
	}
	failed := map[string]bool{}
	for n := range r.repetitions {
		for i := range r.contenders {
			c := r.contenders[(i+n)%len(r.contenders)]
			if failed[c.name] {
				continue
			}
			switch err := r.once(ctx, c, n); {
			case err == nil:
			case c.limit || c.name == ours || ctx.Err() != nil:
				return fmt.Errorf("%s: %w", c.name, err)
			default:
				failed[c.name] = true
				r.result.entry(c.name).drop()
				r.result.Missing = append(r.result.Missing, fmt.Sprintf("%s: %v", c.name, err))
				// It would go on with its load while the others are measured.
				if c.stop != nil && errors.Is(err, context.DeadlineExceeded) {
					c.stop(err)
				}
			}
		}
	}
	return nil
}

// rawName is the contender that sends requests to the store itself.
const rawName = "raw requests"

// loadLimit is the timeout of a load in most rows: a peer that needs longer is not
// measured.
const loadLimit = 40 * time.Second

// once carries out a load once, and records what it took.
func (r race) once(ctx context.Context, c contender, repetition int) error {
	do := r.do
	if c.name == rawName {
		do = r.raw
	}
	forgetPeaks(c.pids)
	processor, counts := processorSeconds(c.pids), r.counts()
	limited, cancel := ctx, func() {}
	if !c.limit && c.name != ours {
		limited, cancel = context.WithTimeout(ctx, r.limit)
	}
	defer cancel()
	w, err := bounded(limited, func() (work, error) { return do(limited, c, repetition) })
	if err != nil {
		return err
	}
	// What a mount does behind its reader belongs to the load.
	settle(ctx, c.pids)
	took, used := r.counts().Since(counts), processorSeconds(c.pids)-processor
	if w.amount == 0 {
		return errors.New("it read nothing within the time of the load")
	}
	e := r.result.entry(c.name)
	e.Figures = append(e.Figures, w.throughput())
	if r.proxy != nil && (!c.limit || c.name == rawName) {
		e.Requests = append(e.Requests, float64(took.All())/r.divide(w))
		e.Fetched = append(e.Fetched, float64(took.Received)/float64(max(w.bytes, 1)))
	}
	if len(c.pids) > 0 {
		e.Processor = append(e.Processor, used/r.divide(w))
		e.Memory = append(e.Memory, peakMemory(c.pids))
	}
	return ctx.Err()
}

func (r race) counts() shaper.Counts {
	if r.proxy == nil {
		return shaper.Counts{}
	}
	return r.proxy.Counts()
}

// bounded returns when a load ends or its context does. A load that waits in the
// kernel is left behind: it ends when its mount does.
func bounded(ctx context.Context, do func() (work, error)) (work, error) {
	type outcome struct {
		work work
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		w, err := do()
		ended <- outcome{w, err}
	}()
	select {
	case o := <-ended:
		return o.work, o.err
	case <-ctx.Done():
		return work{}, ctx.Err()
	}
}

// settle waits until processes use little of a processor, at most 10 s.
func settle(ctx context.Context, pids []int) {
	if len(pids) == 0 {
		return
	}
	for range 50 {
		before := processorSeconds(pids)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return
		}
		if processorSeconds(pids)-before < 0.05 {
			return
		}
	}
}

func gib(w work) float64 { return float64(w.bytes) / (1 << 30) }

func thousand(w work) float64 { return w.amount / 1000 }

func thousandBytes(w work) float64 { return float64(w.bytes) / 1000 }

// rawGets fetches an object as concurrent ranges.
func (l *lab) rawGets(ctx context.Context, f dataset.File) (work, error) {
	const streams, size = 16, 4 << 20
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(streams)
	begin := time.Now()
	for offset := int64(0); offset < f.Size; offset += size {
		group.Go(func() error {
			return l.rawGet(ctx, f.Path, ufs.Range{Offset: offset, Length: min(size, f.Size-offset)})
		})
	}
	if err := group.Wait(); err != nil {
		return work{}, err
	}
	return work{float64(f.Size) / mib, time.Since(begin).Seconds(), f.Size}, nil
}

func (l *lab) rawGet(ctx context.Context, key string, r ufs.Range) error {
	body, _, err := l.raw.Get(ctx, key, r, "")
	if err != nil {
		return err
	}
	_, err = discard(body)
	return errors.Join(err, body.Close())
}

// rawFiles fetches whole objects, in a number of threads.
func (l *lab) rawFiles(ctx context.Context, files []dataset.File, threads int) (work, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(threads)
	begin := time.Now()
	for _, f := range files {
		group.Go(func() error { return l.rawGet(ctx, f.Path, ufs.Range{Length: f.Size}) })
	}
	if err := group.Wait(); err != nil {
		return work{}, err
	}
	return work{float64(len(files)), time.Since(begin).Seconds(), dataset.Bytes(files)}, nil
}

// verify compares every byte of files through each contender.
func (l *lab) verify(files []dataset.File) error {
	contenders, err := l.contenders()
	if err != nil {
		return err
	}
	for _, c := range contenders {
		if err := verifyFiles(c, files); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// verifyFiles reads files through a contender, and compares every byte.
func verifyFiles(c contender, files []dataset.File) error {
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(c.root, f.Path))
		if err != nil {
			return err
		}
		if int64(len(content)) != f.Size {
			return fmt.Errorf("%s has %d bytes of %d", f.Path, len(content), f.Size)
		}
		if err := f.Check(content, 0); err != nil {
			return err
		}
	}
	return nil
}

// warmStore reads files of the store, so that it has them in memory for each
// contender alike.
func (l *lab) warmStore(files []dataset.File) error {
	for _, f := range files {
		if _, err := sequential(filepath.Join(l.source, f.Path), false); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) shape(s shaper.Shape) func() {
	l.proxy.SetShape(s)
	return func() { l.proxy.SetShape(shaper.Shape{}) }
}
