package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// pluginRuns is the number of runs of each program.
const pluginRuns = 20

// plugin measures the start of the plugin, compared with an empty one that links the
// same libraries.
func plugin(ctx context.Context, bin, dir string) (table, error) {
	t := table{
		Title: "Start of the plugin",
		Notes: fmt.Sprintf("%d runs each in turns; \"empty\" (test/bench/empty) is cobra with cli-runtime's flags and one command that prints a word.", pluginRuns),
	}
	empty := filepath.Join(dir, "empty")
	// The flags with which bin's programs are built.
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", empty, "./test/bench/empty")
	if out, err := build.CombinedOutput(); err != nil {
		return table{}, fmt.Errorf("build the empty plugin: %w: %s", err, out)
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
