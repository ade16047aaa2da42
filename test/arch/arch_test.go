package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/jindo-io/jindo/"

// arrows that must not exist: no package under from may reach, directly or
// through others, a package under to.
var forbidden = []struct{ from, to, why string }{
	{"pkg/api", "pkg/plan", "the words know nothing of what is done with them"},
	{"pkg/api", "pkg/rpc", "the words know no wire"},
	{"pkg/plan", "pkg/local", "a plan does not know its executors"},
	{"pkg/plan", "pkg/kube", "a plan does not know its executors"},
	{"pkg/master/state", "pkg/master/consensus", "the state machine knows no Raft"},
	{"pkg/master/consensus", "pkg/master/state", "consensus knows no tables"},
	{"pkg/master/client", "pkg/master/consensus", "clients carry no Raft"},
	{"pkg/cache", "pkg/master/consensus", "master, cache and mount meet through clients only"},
	{"pkg/cache", "pkg/master/server", "master, cache and mount meet through clients only"},
	{"pkg/cache/client", "pkg/cache/server", "clients carry no server"},
	{"pkg/cache/client", "pkg/cache/dirstore", "clients carry no directory store"},
	{"pkg/mount", "pkg/cache/server", "master, cache and mount meet through clients only"},
	{"pkg/mount", "pkg/master/server", "master, cache and mount meet through clients only"},
	{"pkg/ufs", "pkg/cache", "the store is below the cache"},
	{"pkg", "pkg/cli", "nothing imports the commands"},
	{"pkg/mount/fusefd", "github.com/hanwen/go-fuse", "the holder of a mount serves nothing"},
	{"pkg/kube/render", "pkg/master", "rendering is pure"},
	{"pkg/kube/render", "sigs.k8s.io/controller-runtime/pkg/manager", "rendering is pure"},
	{"pkg/kube/csi", "pkg/plan", "the node plugin mounts what it is given, and plans nothing"},
	{"pkg/kube/csi", "pkg/master", "the node plugin asks no master"},
	{"pkg/kube/inject", "k8s.io/client-go", "injection is a pure function"},
	{"pkg/kube/inject", "sigs.k8s.io/controller-runtime/pkg/client", "injection is a pure function"},
	{"pkg/kube/inject", "pkg/plan", "a sidecar is told how to behave by its Secret"},
	{"pkg/kube/admission", "pkg/kube/csi", "admission and node plugin meet in pods only"},
	{"pkg/kube/admission", "pkg/master", "admission asks no master"},
	{"pkg/kube/controller", "pkg/kube/csi", "controllers and node plugin meet in objects only"},
	{"pkg/master", "k8s.io/client-go", "only pkg/kube and pkg/cli know Kubernetes"},
	{"pkg/cache", "k8s.io/client-go", "only pkg/kube and pkg/cli know Kubernetes"},
	{"pkg/mount", "k8s.io/client-go", "only pkg/kube and pkg/cli know Kubernetes"},
	{"pkg/local", "k8s.io/client-go", "only pkg/kube and pkg/cli know Kubernetes"},
	{"cmd/kubectl-jindo", "github.com/hashicorp/raft", "the plugin starts fast"},
	{"cmd/kubectl-jindo", "github.com/cockroachdb/pebble", "the plugin starts fast"},
	{"cmd/kubectl-jindo", "github.com/hanwen/go-fuse", "the plugin starts fast"},
	{"cmd/kubectl-jindo", "sigs.k8s.io/controller-runtime/pkg/manager", "the plugin starts fast"},
	{"cmd/kubectl-jindo", "k8s.io/kubectl", "it doubles the plugin's start and size"},
}

func TestArrows(t *testing.T) {
	packages := list(t)
	for _, rule := range forbidden {
		from, to := module+rule.from, rule.to
		if !strings.Contains(strings.Split(to, "/")[0], ".") {
			to = module + to
		}
		for _, p := range packages {
			// What tests share may know more than what it tests.
			if !under(p.ImportPath, from) || under(p.ImportPath, to) || strings.HasSuffix(p.ImportPath, "test") {
				continue
			}
			for _, dep := range p.Deps {
				if under(dep, to) {
					t.Errorf("%s reaches %s: %s", p.ImportPath, dep, rule.why)
				}
			}
		}
	}
}

// TestEveryPackageSaysWhatItPromises: a newcomer reads the package comment
// first.
func TestEveryPackageSaysWhatItPromises(t *testing.T) {
	for _, p := range list(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 && !strings.Contains(p.ImportPath, "/rpc/") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

type pkg struct {
	ImportPath string
	Doc        string
	GoFiles    []string
	Deps       []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,GoFiles,Deps", module+"...").Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading the list of packages: %v", err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 10 {
		t.Fatalf("only %d packages were listed", len(packages))
	}
	return packages
}

func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}
