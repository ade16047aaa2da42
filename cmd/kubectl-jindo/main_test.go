package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/jindo-io/jindo/pkg/cli/root"
	"github.com/jindo-io/jindo/test/cli/clitest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kubectl-jindo": func() { os.Exit(root.Main()) },
	})
}

// TestScripts runs the plugin as a person does, with nothing running: each
// script has a home of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CACHE_HOME", env.WorkDir+"/.cache")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("LC_ALL", "C.UTF-8")
			clitest.Setup(env)
			return nil
		},
		Cmds: commands(),
	})
}

// commands of scripts: those about a cluster, and exit codes.
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	all := clitest.Script()
	all["code"] = exitCode
	return all
}

// exitCode runs a command that must end with the code: code 2 kubectl-jindo ….
func exitCode(ts *testscript.TestScript, _ bool, args []string) {
	want, words := args[0], args[1:]
	err := ts.Exec(words[0], words[1:]...)
	got := "0"
	if err != nil {
		_, text, _ := strings.Cut(err.Error(), "exit status ")
		got = text
	}
	if got != want {
		ts.Fatalf("exit code %q, want %q: %v", got, want, err)
	}
}

// TestDependencies: what a person starts for every screen carries no server's
// engine.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("listing dependencies: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 100 {
		t.Fatalf("only %d dependencies were listed", len(deps))
	}
	for _, dep := range deps {
		for _, forbidden := range []string{
			"github.com/hashicorp/raft", "github.com/cockroachdb/pebble", "github.com/hanwen/go-fuse", "go.etcd.io/bbolt", "k8s.io/kubectl",
		} {
			if strings.HasPrefix(dep, forbidden) {
				t.Errorf("the plugin imports %s", dep)
			}
		}
	}
}

// TestItBuildsElsewhere: the plugin is for the machines people sit at. Whether
// every package is there for them is asked always; compiling it all takes
// minutes on a machine that never did, so that is for the long run.
func TestItBuildsElsewhere(t *testing.T) {
	for _, system := range []string{"darwin/arm64", "windows/amd64"} {
		goos, goarch, _ := strings.Cut(system, "/")
		words := []string{"list", "-deps", "-f", "{{with .Error}}{{.}}{{end}}", "."}
		if os.Getenv("JINDO_LONG") != "" {
			words = []string{"build", "-o", os.DevNull, "."}
		}
		cmd := exec.Command("go", words...)
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", system, err, out)
		}
	}
}
