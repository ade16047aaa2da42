// Command krew packs the plugin for krew: an archive with the program and the
// licence for each platform, and the manifest with their checksums. Builds are
// reproducible: the same sources and version give the same bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("krew", flag.ContinueOnError)
	described := flags.String("version", "", "output of git describe for the sources")
	out := flags.String("out", "dist", "directory for archives and the manifest")
	root := flags.String("root", ".", "directory of the sources")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("parse the flags: %w", err)
	}
	version, err := release(*described)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return fmt.Errorf("create the directory for archives: %w", err)
	}
	sums, err := packAll(ctx, *root, *out, version, w)
	if err != nil {
		return err
	}
	manifest, err := render(*root, version, sums)
	if err != nil {
		return err
	}
	path := filepath.Join(*out, pluginName+".yaml")
	if err := os.WriteFile(path, manifest, 0o644); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	_, _ = fmt.Fprintf(w, "%s: %s for %d platforms\n", path, version, len(sums))
	return nil
}
