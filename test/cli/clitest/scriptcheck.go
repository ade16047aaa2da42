package clitest

import (
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// scriptStored checks a stored object: stored datasets default hbase 'phase: Bound'.
func scriptStored(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: stored RESOURCE NAMESPACE NAME [TEXT]")
	}
	s := serverOf(ts)
	gvr, err := s.mapper.ResourceFor(schema.GroupVersionResource{Resource: args[0]})
	ts.Check(err)
	namespace := args[1]
	if namespace == "-" {
		namespace = ""
	}
	text := ""
	gvk, err := s.mapper.KindFor(gvr)
	ts.Check(err)
	if found := s.store.get(resource{gvr, gvk}, namespace, args[2]); found != nil {
		raw, err := yaml.Marshal(found.Object)
		ts.Check(err)
		text = string(raw)
	}
	holds := text != "" && (len(args) == 3 || strings.Contains(text, args[3]))
	if holds == neg {
		ts.Fatalf("%s %s/%s is stored as %q", args[0], args[1], args[2], text)
	}
}

// scriptRequests checks the number of requests since its last call: requests 1 list datasets.
func scriptRequests(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: requests COUNT VERB RESOURCE; - matches every value")
	}
	s := serverOf(ts)
	m := match(ts, args[1:])
	count := 0
	var all []string
	for _, r := range s.Requests() {
		all = append(all, r.Verb+" "+r.Resource)
		if m.covers(r) {
			count++
		}
	}
	s.ClearRequests()
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if (count == want) == neg {
		ts.Fatalf("%d requests, want %d: %s", count, want, strings.Join(all, ", "))
	}
}
