// Package jindocli is the command in the pods, for those who know JindoRuntime's:
// `jindo jfs -metaStatus -detail`, `jindo fs -ls`, `jindocache -report`. What it
// prints is parsed by programs; the formats do not change.
//
// Options are words with one dash, as Hadoop has them, and stand where people
// type them. Whatever it asks has a deadline.
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

// Names this program answers to.
const (
	nameJindo = "jindo"
	nameCache = "jindocache"
)

// Env is what an invocation works with.
type Env struct {
	// Program is argv[0].
	Program  string
	Out, Err io.Writer
	Getenv   func(string) string
	// Open connects to the cluster that the settings name.
	Open func(context.Context, Settings) (Cluster, error)
}

// Settings say which cluster to speak to, and how long to wait.
type Settings struct {
	Roster string
	TLSDir string
	// Name of the instance whose certificate is used, where TLSDir has several.
	Name    string
	Timeout time.Duration
}

// usageError is a command that was not understood.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{text: fmt.Sprintf(format, args...)} }

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// errFalse is the answer of -test, which says nothing.
var errFalse = errors.New("false")

// errReported: the failures have been printed already.
var errReported = errors.New("some arguments failed")

// Run runs one command and answers the exit code.
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
		_, _ = fmt.Fprintf(env.Err, "%s\n\n%s", usage.text, usageText)
		return exitUsage
	}
	_, _ = fmt.Fprintf(env.Err, "error: %v\n", err)
	return exitFailed
}

// dispatch finds the command. jindocache is jindo without a first word.
func dispatch(ctx context.Context, env Env, settings Settings, args []string) error {
	if len(args) == 0 {
		return usagef("say what to do")
	}
	switch args[0] {
	case "-version", "--version", "version":
		return printVersion(env.Out)
	case "-help", "--help", "-h", "help":
		_, err := io.WriteString(env.Out, usageText)
		return err
	}
	run := &runner{env: env, settings: settings}
	if filepath.Base(env.Program) == nameCache {
		return run.within(ctx, func(ctx context.Context) error { return run.cache(ctx, args) })
	}
	commands := map[string]func(context.Context, []string) error{
		"jfs": run.jfs, "fs": run.fs, "admin": run.admin, "cache": run.cache,
	}
	command, known := commands[args[0]]
	if !known {
		return usagef("%s: %q is no command", nameJindo, args[0])
	}
	return run.within(ctx, func(ctx context.Context) error { return command(ctx, args[1:]) })
}

func printVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "Version: %s\nCommitId: %s\n", version.String(), version.Commit())
	return err
}

const usageText = `Usage: jindo [--roster FILE] [--tls-dir DIR] [--timeout DURATION] COMMAND
  jindo jfs -metaStatus [-detail]       the masters and who leads
  jindo jfs|fs|admin -report            capacity and use of the cache
  jindo fs -ls [-R] [-h] PATH...        list
  jindo fs -stat [FORMAT] PATH...       describe
  jindo fs -cat PATH...                 print
  jindo fs -get SOURCE [TARGET]         copy to this machine
  jindo fs -count [-h] PATH...          DIRS FILES BYTES URI
  jindo fs -du [-s] [-h] PATH...        bytes below
  jindo fs -test -e|-d|-f|-z PATH       exit code 0 when it is so
  jindo admin -mount                    list the mounts
  jindo admin -mount PATH STORE-URI     mount [-o KEY=VALUE]... [-secret NAME] [-ro]
  jindo admin -umount|-unmount PATH     unmount
  jindo admin -refresh PATH             look up the mount's names anew
  jindo -version
jindocache -report | -mount [PATH STORE-URI] | -umount PATH | -version
PATH is jindo:///path or /path. The roster is --roster, or JINDO_ROSTER, or
/etc/jindo/roster.json, or that of the only runtime on this machine; the
certificate is in --tls-dir, or JINDO_TLS_DIR, or /etc/jindo/tls.
`
