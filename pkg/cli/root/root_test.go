package root

import (
	"io"
	"os"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

func newSession() *session.Session {
	return &session.Session{
		Streams: genericiooptions.IOStreams{In: os.Stdin, Out: io.Discard, ErrOut: io.Discard},
		Getenv:  os.Getenv, Name: "kubectl jindo", Self: []string{"kubectl-jindo"}, Source: source,
	}
}

// TestStartBuildsLittle checks that the commands are built without the work that
// only completion needs, which was three times as much as all the rest.
func TestStartBuildsLittle(t *testing.T) {
	const limit = 1500 // 940 in 2026
	if n := testing.AllocsPerRun(10, func() { New(newSession()) }); n > limit {
		t.Errorf("building the commands takes %.0f allocations, want at most %d", n, limit)
	}
	help, _, err := New(newSession()).Find([]string{"help"})
	if err != nil || help.ValidArgsFunction != nil {
		t.Errorf("completion is attached without a request for it: %v", err)
	}
}

// TestCompletionIsRequested checks that every way to request completion attaches it.
func TestCompletionIsRequested(t *testing.T) {
	for _, arguments := range [][]string{
		completion.Arguments("/usr/bin/kubectl_complete-jindo", []string{"status", ""}),
		{cobra.ShellCompRequestCmd, "status", ""},
		{cobra.ShellCompNoDescRequestCmd, "status", ""},
		{"--context", "c", cobra.ShellCompRequestCmd, "get", ""},
	} {
		if !completion.Requested(arguments) {
			t.Errorf("%q does not request completion", arguments)
		}
	}
	if completion.Requested([]string{"status", "hbase"}) {
		t.Error("status requests completion")
	}
}
