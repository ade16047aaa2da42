// Command bench measures rows, each compared with peers in the same run. It prints
// ratios with their spread, writes all measurements as JSON below bench/results,
// and the tables and charts into docs/benchmarks.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/test/testbed"
)

// limit is the timeout of one row.
const limit = 30 * time.Minute

// run is what rows are measured with.
type run struct {
	bin, dir string
	// repetitions of each load of each contender.
	repetitions int
	// lab is started by the first row that needs it.
	lab *lab
}

// row is one or more measurements that are taken together.
type row struct {
	name    string
	measure func(ctx context.Context, r *run) ([]report, error)
}

var rows = []row{
	{"warm", warm},
	{"cold", cold},
	{"small", small},
	{"immutable", immutable},
	{"first-byte", firstByte},
	{"herd", herd},
	{"epochs", epochs},
	{"directories", directories},
	{"million", million},
	{"inodes", inodes},
	{"tree", tree},
	{"remote", remote},
	{"commands", commands},
	{"failover", one(failover)},
	{"memory", one(memory)},
	{"admission", one(admitted)},
	{"plugin", one(plugin)},
	{"status", one(statusOf)},
}

// one adapts a measurement of ours without file systems.
func one(measure func(ctx context.Context, bin, dir string) (table, error)) func(context.Context, *run) ([]report, error) {
	return func(ctx context.Context, r *run) ([]report, error) {
		t, err := measure(ctx, r.bin, r.dir)
		return []report{&t}, err
	}
}

func rowNames() []string {
	all := make([]string, len(rows))
	for i, r := range rows {
		all[i] = r.name
	}
	return all
}

func main() {
	r := &run{}
	flag.StringVar(&r.bin, "bin", "bin", "directory of the binaries")
	flag.IntVar(&r.repetitions, "repetitions", 5, "how often each contender carries out each load")
	name := flag.String("row", "warm", fmt.Sprintf("what to measure: all, or one of %v", rowNames()))
	file := flag.String("map", "", "only map this file, for a row")
	threads := flag.Int("threads", 1, "threads that read the mapped file")
	drop := flag.Bool("drop", false, "drop the pages of the mapped file first")
	kind := flag.String("log", "", "only serve a replicated log, for a row")
	logDir := flag.String("log-dir", "", "directory of the replicated log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	var err error
	switch {
	case *file != "":
		err = mapHere(*file, *drop, *threads)
	case *kind != "":
		err = serveLog(ctx, *kind, *logDir, os.Stdin, os.Stdout)
	default:
		err = r.rows(ctx, *name)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// rows measures one row or all of them.
func (r *run) rows(ctx context.Context, name string) error {
	chosen := rows
	if name != "all" {
		i := slices.IndexFunc(rows, func(row row) bool { return row.name == name })
		if i < 0 {
			return fmt.Errorf("unknown row %q: use all, or one of %v", name, rowNames())
		}
		chosen = rows[i : i+1]
	}
	dir, err := testbed.Dir(r.bin, "bench")
	if err != nil {
		return err
	}
	r.dir = dir
	defer func() { _ = os.RemoveAll(dir) }()
	defer func() { r.lab.close() }()
	var failed []error
	for _, row := range chosen {
		if err := r.row(ctx, row); err != nil {
			failed = append(failed, fmt.Errorf("measure %s: %w", row.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (r *run) row(ctx context.Context, row row) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	begin := time.Now()
	reports, err := row.measure(ctx, r)
	if err != nil {
		return err
	}
	for _, report := range reports {
		if t, ok := report.(*table); ok {
			t.Name = row.name
		}
		stamp(report)
		fmt.Println(report.markdown())
		if err := save(report); err != nil {
			return err
		}
	}
	fmt.Printf("row %s took %.0f s\n", row.name, time.Since(begin).Seconds())
	return nil
}
