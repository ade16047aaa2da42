package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// pluginRuns of each program.
const pluginRuns = 20

// plugin measures what the plugin takes to start, beside an empty one of the
// same libraries.
func plugin(ctx context.Context, bin, dir string) (table, error) {
	t := table{
		Title: "Start of the plugin",
		Notes: fmt.Sprintf("%d runs each in turns; \"empty\" (test/bench/empty) is cobra with cli-runtime's flags and one command that prints a word.", pluginRuns),
	}
	empty := filepath.Join(dir, "empty")
	// As bin's programs are built.
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", empty, "./test/bench/empty")
	if out, err := build.CombinedOutput(); err != nil {
		return table{}, fmt.Errorf("building the empty plugin: %w: %s", err, out)
	}
	for _, arguments := range [][]string{{"version", "--client"}, {"--help"}} {
		all, err := alternate(ctx, pluginRuns,
			program{name: "empty " + arguments[0], words: append([]string{empty}, arguments...)},
			program{name: "kubectl-jindo " + arguments[0], words: append([]string{filepath.Join(bin, "kubectl-jindo")}, arguments...)},
		)
		if err != nil {
			return table{}, err
		}
		t.Series = append(t.Series, all...)
	}
	return t, nil
}
