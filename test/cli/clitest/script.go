package clitest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

type scriptKey struct{}

// Script are the commands of test scripts about a cluster:
//
//	cluster [-n NAMESPACE] FILE...      starts an API server with the objects and sets KUBECONFIG
//	put FILE...                         makes or replaces objects
//	forbid VERB RESOURCE [NAMESPACE [NAME]]  refuses requests as RBAC does; - is any
//	hang VERB RESOURCE [NAMESPACE [NAME]]    never answers requests
//	relent                              ends all that
//	stored RESOURCE NAMESPACE NAME [TEXT]  the object is there, and its YAML has the text
//	asked COUNT VERB RESOURCE           how often that was asked since the last time
//	cluster-down                        the server refuses connections
//
// Setup in a script's [testscript.Params] must call [Setup].
func Script() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"cluster": scriptCluster, "put": scriptPut, "forbid": scriptForbid, "hang": scriptHang, "relent": scriptRelent,
		"stored": scriptStored, "asked": scriptAsked, "cluster-down": scriptDown,
	}
}

// slot is where a script keeps its server.
type slot struct{ server *Server }

// Setup gives a script a place for its server.
func Setup(env *testscript.Env) {
	place := &slot{}
	env.Values[scriptKey{}] = place
	env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "no-kubeconfig"))
	env.Defer(func() {
		if place.server != nil {
			place.server.Close()
		}
	})
}

func placeOf(ts *testscript.TestScript) *slot {
	place, ok := ts.Value(scriptKey{}).(*slot)
	if !ok {
		ts.Fatalf("this script was not set up for a cluster")
	}
	return place
}

func serverOf(ts *testscript.TestScript) *Server {
	server := placeOf(ts).server
	if server == nil {
		ts.Fatalf("no cluster runs: begin with cluster FILE")
	}
	return server
}

func scriptCluster(ts *testscript.TestScript, _ bool, args []string) {
	namespace := "default"
	if len(args) > 1 && args[0] == "-n" {
		namespace, args = args[1], args[2:]
	}
	server, err := Start()
	ts.Check(err)
	place := placeOf(ts)
	if place.server != nil {
		place.server.Close()
	}
	place.server = server
	path := ts.MkAbs("kubeconfig")
	ts.Check(server.Kubeconfig(path, namespace))
	ts.Setenv("KUBECONFIG", path)
	scriptPut(ts, false, args)
}

func scriptPut(ts *testscript.TestScript, _ bool, files []string) {
	server := serverOf(ts)
	for _, file := range files {
		raw, err := os.ReadFile(ts.MkAbs(file))
		ts.Check(err)
		ts.Check(server.PutYAML(raw))
	}
}

// PutYAML makes or replaces the objects of a file; one without a namespace is in
// default if its kind has namespaces.
func (s *Server) PutYAML(raw []byte) error {
	for part := range strings.SplitSeq("\n"+string(raw), "\n---") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		u := &unstructured.Unstructured{}
		asJSON, err := utilyaml.ToJSON([]byte(part))
		if err != nil {
			return fmt.Errorf("reading objects for a cluster: %w", err)
		}
		if err := decode(asJSON, u); err != nil {
			return err
		}
		if len(u.Object) == 0 {
			continue
		}
		mapping, err := s.mapper.RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
		if err != nil {
			return fmt.Errorf("an object for a cluster: %w", err)
		}
		if u.GetNamespace() == "" && mapping.Scope.Name() == "namespace" {
			u.SetNamespace("default")
		}
		s.store.put(mapping.Resource, u)
	}
	return nil
}

func scriptForbid(ts *testscript.TestScript, _ bool, args []string) {
	serverOf(ts).Forbid(match(ts, args))
}

func scriptHang(ts *testscript.TestScript, _ bool, args []string) { serverOf(ts).Hang(match(ts, args)) }

func match(ts *testscript.TestScript, args []string) Match {
	if len(args) < 2 || len(args) > 4 {
		ts.Fatalf("usage: VERB RESOURCE [NAMESPACE [NAME]]")
	}
	words := [4]string{}
	for i, word := range args {
		if word != "-" {
			words[i] = word
		}
	}
	return Match{Verb: words[0], Resource: words[1], Namespace: words[2], Name: words[3]}
}

func scriptRelent(ts *testscript.TestScript, _ bool, _ []string) { serverOf(ts).Relent() }

func scriptDown(ts *testscript.TestScript, _ bool, _ []string) { serverOf(ts).Close() }
