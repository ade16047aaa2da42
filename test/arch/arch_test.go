package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/jindo-io/jindo/"

// forbidden lists dependencies: no package under from may import, directly or
// indirectly, a package under to.
var forbidden = []struct {
	from, to, why string
	except        []string
}{
	{from: "pkg/api", to: "pkg/plan", why: "the API types do not depend on their users"},
	{from: "pkg/api", to: "pkg/rpc", why: "the API types do not depend on RPC"},
	{from: "pkg/plan", to: "pkg/local", why: "plans do not depend on executors"},
	{from: "pkg/plan", to: "pkg/kube", why: "plans do not depend on executors"},
	{from: "pkg/master/state", to: "pkg/master/consensus", why: "the state machine does not depend on Raft"},
	{from: "pkg/master/consensus", to: "pkg/master/state", why: "consensus does not depend on the tables"},
	{from: "pkg/master/client", to: "pkg/master/consensus", why: "clients do not link Raft"},
	{from: "pkg/cache", to: "pkg/master/consensus", why: "master, cache and mount meet through clients only"},
	{from: "pkg/cache", to: "pkg/master/server", why: "master, cache and mount meet through clients only"},
	{from: "pkg/cache/client", to: "pkg/cache/server", why: "clients do not link the server"},
	{from: "pkg/cache/client", to: "pkg/cache/dirstore", why: "clients do not link the directory store"},
	{from: "pkg/cache/wire", to: "pkg/cache/client", why: "the wire is below both ends"},
	{from: "pkg/cache/wire", to: "pkg/cache/server", why: "the wire is below both ends"},
	{from: "pkg/cache/wire", to: "pkg/cache/blockstore", why: "the client does not link the block store"},
	{from: "pkg/mount", to: "pkg/cache/server", why: "master, cache and mount meet through clients only"},
	{from: "pkg/mount", to: "pkg/master/server", why: "master, cache and mount meet through clients only"},
	{from: "pkg/ufs", to: "pkg/cache", why: "the store is below the cache"},
	{from: "pkg", to: "pkg/cli", why: "nothing imports the plugin", except: []string{"pkg/jindocli"}},
	{from: "pkg/mount/fusefd", to: "github.com/hanwen/go-fuse", why: "the owner of a mount does not serve it"},
	{from: "pkg/kube/health", to: "sigs.k8s.io/controller-runtime", why: "interpreting a status is pure"},
	{from: "pkg/kube/health", to: "k8s.io/client-go", why: "interpreting a status is pure"},
	{from: "pkg/kube/render", to: "pkg/master", why: "rendering is pure"},
	{from: "pkg/kube/render", to: "sigs.k8s.io/controller-runtime/pkg/manager", why: "rendering is pure"},
	{from: "pkg/kube/csi", to: "pkg/plan", why: "the node plugin does not plan"},
	{from: "pkg/kube/csi", to: "pkg/master", why: "the node plugin does not query masters"},
	{from: "pkg/kube/inject", to: "k8s.io/client-go", why: "injection is a pure function"},
	{from: "pkg/kube/inject", to: "sigs.k8s.io/controller-runtime/pkg/client", why: "injection is a pure function"},
	{from: "pkg/kube/inject", to: "pkg/kube/client", why: "injection is a pure function"},
	{from: "pkg/kube/inject", to: "pkg/plan", why: "a sidecar is configured by its Secret"},
	{from: "pkg/kube/admission", to: "pkg/kube/csi", why: "admission and node plugin meet in pods only"},
	{from: "pkg/kube/admission", to: "pkg/master", why: "admission does not query masters"},
	{from: "pkg/kube/controller", to: "pkg/kube/csi", why: "controllers and node plugin meet in objects only"},
	{from: "pkg/master", to: "k8s.io/client-go", why: "only pkg/kube and pkg/cli depend on Kubernetes"},
	{from: "pkg/cache", to: "k8s.io/client-go", why: "only pkg/kube and pkg/cli depend on Kubernetes"},
	{from: "pkg/mount", to: "k8s.io/client-go", why: "only pkg/kube and pkg/cli depend on Kubernetes"},
	{from: "pkg/local", to: "k8s.io/client-go", why: "only pkg/kube and pkg/cli depend on Kubernetes"},
	{from: "cmd/kubectl-jindo", to: "github.com/hashicorp/raft", why: "the plugin starts fast"},
	{from: "cmd/kubectl-jindo", to: "github.com/cockroachdb/pebble", why: "the plugin starts fast"},
	{from: "cmd/kubectl-jindo", to: "github.com/hanwen/go-fuse", why: "the plugin starts fast"},
	{from: "cmd/kubectl-jindo", to: "sigs.k8s.io/controller-runtime", why: "it registers every kind twice at each start: use pkg/kube/client"},
	{from: "cmd/kubectl-jindo", to: "k8s.io/client-go/informers", why: "the plugin starts fast"},
	{from: "cmd/kubectl-jindo", to: "github.com/prometheus", why: "the plugin starts fast"},
	{from: "cmd/kubectl-jindo", to: "github.com/aws", why: "the plugin starts fast"},
	{from: "cmd/kubectl-jindo", to: "github.com/aliyun", why: "the plugin starts fast"},
	{from: "cmd/kubectl-jindo", to: "pkg/ufs/drivers", why: "the plugin starts fast: the worker's program checks stores"},
	{from: "cmd/kubectl-jindo", to: "k8s.io/kubectl", why: "it doubles the plugin's start and size"},
}

func TestArrows(t *testing.T) {
	packages := list(t)
	for _, rule := range forbidden {
		from, to := module+rule.from, rule.to
		if !strings.Contains(strings.Split(to, "/")[0], ".") {
			to = module + to
		}
		for _, p := range packages {
			// Test helpers may import more than what they test.
			if !under(p.ImportPath, from) || under(p.ImportPath, to) || strings.HasSuffix(p.ImportPath, "test") ||
				slices.Contains(rule.except, strings.TrimPrefix(p.ImportPath, module)) {
				continue
			}
			for _, dep := range p.Deps {
				if under(dep, to) {
					t.Errorf("%s imports %s: %s", p.ImportPath, dep, rule.why)
				}
			}
		}
	}
}

// TestProductionImportsNoTestPackage keeps fakes, fixtures and goldens out of
// what is shipped: packages below test/ are imported by test files, by the
// programs below test/ and by fakes that live beside their subject only, and no
// binary links such a fake.
func TestProductionImportsNoTestPackage(t *testing.T) {
	isFake := func(path string) bool {
		return under(path, module+"pkg") && (strings.HasSuffix(path, "test") || strings.HasSuffix(path, "/fakeworker"))
	}
	for _, p := range list(t) {
		if under(p.ImportPath, module+"test") || isFake(p.ImportPath) {
			continue
		}
		for _, dep := range p.Deps {
			if under(dep, module+"test") || under(p.ImportPath, module+"cmd") && isFake(dep) {
				t.Errorf("%s imports %s: test code belongs to test files", p.ImportPath, dep)
			}
		}
	}
}

// TestPackageComments checks that every package has a comment.
func TestPackageComments(t *testing.T) {
	for _, p := range list(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 && !strings.Contains(p.ImportPath, "/rpc/") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// TestHeadersAreDefinedOnce checks that the names of the headers between
// workers and clients are constants of pkg/cache/wire everywhere else.
func TestHeadersAreDefinedOnce(t *testing.T) {
	literal := regexp.MustCompile("[\"`]Jindo-[A-Z]")
	for _, p := range list(t) {
		if p.ImportPath == module+"pkg/cache/wire" || p.ImportPath == module+"test/arch" {
			continue
		}
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			source, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if found := literal.Find(source); found != nil {
				t.Errorf("%s/%s has the literal %s…: use the constant of pkg/cache/wire", p.ImportPath, name, found)
			}
		}
	}
}

type pkg struct {
	ImportPath string
	Doc        string
	Dir        string
	GoFiles    []string

	TestGoFiles, XTestGoFiles []string
	Deps                      []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Dir,GoFiles,TestGoFiles,XTestGoFiles,Deps", module+"...").Output()
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
