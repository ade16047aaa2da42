// Command bench measures one row at a time, compared with peers in the same run. It
// prints ratios with their spread, writes all measurements as JSON below
// bench/results, and the row's table into docs/benchmarks.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/test/testbed"
)

// limit is the timeout of one row.
const limit = 5 * time.Minute

// row is one measurement.
type row func(ctx context.Context, bin, dir string) (table, error)

var rows = map[string]row{
	"read":      read,
	"failover":  failover,
	"memory":    memory,
	"admission": admitted,
	"plugin":    plugin,
	"status":    statusOf,
}

func main() {
	bin := flag.String("bin", "bin", "directory of the binaries")
	name := flag.String("row", "read", fmt.Sprintf("what to measure: %v", slices.Sorted(maps.Keys(rows))))
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, *bin, *name)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, name string) error {
	measure, ok := rows[name]
	if !ok {
		return fmt.Errorf("unknown row %q: use one of %v", name, slices.Sorted(maps.Keys(rows)))
	}
	dir, err := testbed.Dir(bin, "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t, err := measure(ctx, bin, dir)
	if err != nil {
		return fmt.Errorf("measure %s: %w", name, err)
	}
	t.Name, t.Date, t.Machine = name, time.Now().UTC().Format(time.DateOnly), machine()
	fmt.Print(t.markdown())
	return t.save()
}
