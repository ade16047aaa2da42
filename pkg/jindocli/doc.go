// Package jindocli implements the command inside the pods, compatible with that
// of JindoRuntime: `jindo jfs -metaStatus -detail`, `jindo fs -ls`, `jindocache
// -report`. Programs parse its output, so the formats must not change.
//
// Options are words with one dash, as in Hadoop. Every request has a deadline.
package jindocli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/pkg/version"
)

// Names under which this program is installed.
const (
	nameJindo = "jindo"
	nameCache = "jindocache"
)

// Env is the environment of one invocation.
type Env struct {
	// Program is argv[0].
	Program  string
	Out, Err io.Writer
	Getenv   func(string) string
	// Open returns the cluster that the settings name.
	Open func(context.Context, Settings) (Cluster, error)
}

// Settings select the cluster and the time limit of a command.
type Settings struct {
	Roster string
	TLSDir string
	// Name of the instance whose certificate is used, if TLSDir has several.
	Name string
	// Timeout of a whole command that moves no data.
	Timeout time.Duration
}

// usageError reports an invalid command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{text: fmt.Sprintf(format, args...)} }

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// errFalse is the result of a -test that does not hold. It is not printed.
var errFalse = errors.New("false")

// errReported means that the failures have been printed.
var errReported = errors.New("some arguments failed")

// Run runs one command and returns its exit code.
func Run(ctx context.Context, env Env, args []string) int {
	settings, rest, err := parseSettings(args, env.Getenv)
	if err == nil {
		err = dispatch(ctx, env, settings, rest)
	}
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFalse), errors.Is(err, errReported):
		return exitFailed
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(env.Err, "error: %s\nRun '%s --help' for usage.\n", usage.text, helpName(env.Program, rest))
		return exitUsage
	}
	_, _ = fmt.Fprintf(env.Err, "error: %v\n", err)
	return exitFailed
}

// dispatch runs the command that args name. The program jindocache has no word
// for the command.
func dispatch(ctx context.Context, env Env, settings Settings, args []string) error {
	if len(args) == 0 {
		return usagef("a command is required")
	}
	switch args[0] {
	case "-version", "--version", "version":
		return printVersion(env.Out)
	case "-h", "help":
		return printHelp(env.Out, env.Program, nil)
	}
	if has(args, "help") {
		return printHelp(env.Out, env.Program, args)
	}
	run := &runner{env: env, settings: settings}
	if filepath.Base(env.Program) == nameCache {
		return run.within(ctx, func(ctx context.Context) error { return run.cache(ctx, args) })
	}
	commands := map[string]func(context.Context, []string) error{
		"jfs": run.jfs, "fs": run.fs, "admin": run.admin, "cache": run.cache, "raft": run.raft,
	}
	command, known := commands[args[0]]
	if !known {
		return usagef("unknown command %q for %q", args[0], nameJindo)
	}
	return run.within(ctx, func(ctx context.Context) error { return command(ctx, args[1:]) })
}

func printVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "Version: %s\nCommitId: %s\n", version.String(), version.Commit())
	return err
}
