// Command demo serves the pair of sample manifests on this machine, and kills every
// process that serves it in turn, under a reader that checks every byte.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/test/testbed"
)

// limit is the time limit of the whole demo.
const limit = 10 * time.Minute

func main() {
	bin := flag.String("bin", "bin", "directory of the binaries")
	store := flag.String("store", "oss", "kind of store: oss, s3 or file")
	files := flag.Int("files", 3000, "files in the data set")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	err := run(ctx, *bin, *store, *files)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run creates a directory for the demo, and removes everything when it ends.
func run(ctx context.Context, bin, store string, files int) error {
	dir, err := testbed.Dir(bin, "demo")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d := &demo{bin: bin, store: store, dir: dir, files: files, began: time.Now()}
	defer d.end()
	return d.run(ctx)
}
