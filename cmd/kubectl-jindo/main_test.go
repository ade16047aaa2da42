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

// TestScripts runs the scripts of testdata against the plugin. Each script has its own
// home directory, and no local runtimes.
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

// commands returns the commands of scripts: those of clitest, and code.
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	all := clitest.Script()
	all["code"] = exitCode
	return all
}

// exitCode runs a command that must exit with the code: code 2 kubectl-jindo ….
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

// TestDependencies checks that the plugin, which starts for every TAB, links neither
// servers nor kubectl.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("list dependencies: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 100 {
		t.Fatalf("listed only %d dependencies", len(deps))
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

// TestOtherPlatforms checks that every package of the plugin exists for other
// platforms. JINDO_LONG also compiles them, which takes minutes the first time.
func TestOtherPlatforms(t *testing.T) {
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
