package clitest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

type scriptKey struct{}

// Script returns the commands of test scripts that concern a cluster:
//
//	cluster [-n NAMESPACE] FILE...      starts an API server with the objects and sets KUBECONFIG
//	put FILE...                         creates or replaces objects
//	forbid VERB RESOURCE [NAMESPACE [NAME]]  refuses requests as RBAC does; - matches every value
//	hang VERB RESOURCE [NAMESPACE [NAME]]    never responds to requests
//	clear-rules                         removes the rules of forbid and hang
//	stored RESOURCE NAMESPACE NAME [TEXT]  the object exists, and its YAML contains the text
//	requests COUNT VERB RESOURCE        number of requests since the last time
//	cluster-down                        stops the server, which then refuses connections
//
// Setup in a script's [testscript.Params] must call [Setup].
func Script() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"cluster": scriptCluster, "put": scriptPut, "forbid": scriptForbid, "hang": scriptHang, "clear-rules": scriptClear,
		"stored": scriptStored, "requests": scriptRequests, "cluster-down": scriptDown,
	}
}

// slot holds the server of a script, if it has started one.
type slot struct{ server *Server }

// Setup prepares a script for the commands of [Script].
func Setup(env *testscript.Env) {
	slot := &slot{}
	env.Values[scriptKey{}] = slot
	env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "no-kubeconfig"))
	env.Defer(func() {
		if slot.server != nil {
			slot.server.Close()
		}
	})
}

func slotOf(ts *testscript.TestScript) *slot {
	found, ok := ts.Value(scriptKey{}).(*slot)
	if !ok {
		ts.Fatalf("the script was not set up for a cluster")
	}
	return found
}

func serverOf(ts *testscript.TestScript) *Server {
	server := slotOf(ts).server
	if server == nil {
		ts.Fatalf("no cluster runs: start one with the command cluster")
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
	slot := slotOf(ts)
	if slot.server != nil {
		slot.server.Close()
	}
	slot.server = server
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

// PutYAML creates or replaces the objects of a YAML stream. Objects of kinds that
// have namespaces are put into default if they name none.
func (s *Server) PutYAML(raw []byte) error {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read objects for a cluster: %w", err)
		}
		if err := s.putDocument(document); err != nil {
			return err
		}
	}
}

func (s *Server) putDocument(document []byte) error {
	asJSON, err := utilyaml.ToJSON(document)
	if err != nil {
		return fmt.Errorf("parse an object for a cluster: %w", err)
	}
	u := &unstructured.Unstructured{}
	if err := decode(asJSON, u); err != nil {
		return err
	}
	if len(u.Object) == 0 {
		return nil
	}
	of, namespaced, err := s.resourceFor(u.GroupVersionKind())
	if err != nil {
		return err
	}
	if u.GetNamespace() == "" && namespaced {
		u.SetNamespace("default")
	}
	return s.store.put(of, u)
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

func scriptClear(ts *testscript.TestScript, _ bool, _ []string) { serverOf(ts).ClearRules() }

func scriptDown(ts *testscript.TestScript, _ bool, _ []string) { serverOf(ts).Close() }
