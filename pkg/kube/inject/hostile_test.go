package inject_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/inject/injecttest"
)

const labelled = `"metadata":{"labels":{"serverless.fluid.io/inject":"true"}}`

// TestHostile checks that invalid pods are refused with a message.
func TestHostile(t *testing.T) {
	for name, pod := range map[string]string{
		"nothing":                 ``,
		"null":                    `null`,
		"a list":                  `[]`,
		"a number":                `5`,
		"not whole":               `{"metadata":{`,
		"more behind":             `{} {}`,
		"a spec that is a number": `{` + labelled + `,"spec":5}`,
		"containers of numbers":   `{` + labelled + `,"spec":{"containers":[5]}}`,
		"containers in an object": `{` + labelled + `,"spec":{"containers":{}}}`,
		"labels of numbers":       `{"metadata":{"labels":{"serverless.fluid.io/inject":true}}}`,
		"a claim of numbers":      `{` + labelled + `,"spec":{"volumes":[{"persistentVolumeClaim":{"claimName":7}}]}}`,
		"no quantity":             `{` + labelled + `,"spec":{"containers":[{"resources":{"limits":{"cpu":"lots"}}}]}}`,
		"a key twice":             `{` + labelled + `,"spec":{"containers":[],"containers":[{}]}}`,
		"deep":                    `{` + labelled + `,"x":` + strings.Repeat("[", 200000) + strings.Repeat("]", 200000) + `}`,
		"huge":                    `{` + labelled + `,"x":"` + strings.Repeat("a", 5<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			for what, call := range map[string]func() error{
				"Plan":   func() error { _, err := inject.Plan(inject.Request{Pod: []byte(pod)}); return err },
				"Claims": func() error { _, err := inject.Claims([]byte(pod)); return err },
				"Remove": func() error { _, err := inject.Remove([]byte(pod)); return err },
			} {
				var refused *inject.Refusal
				if err := call(); !errors.As(err, &refused) || refused.Reason != inject.ReasonMalformed || len(refused.Message) > 500 {
					t.Errorf("%s: got %v", what, err)
				}
			}
		})
	}
}

// TestOddities checks that unusual pods are parsed as Kubernetes parses them.
func TestOddities(t *testing.T) {
	for name, test := range map[string]struct {
		pod    string
		reason inject.Reason
	}{
		"names in another case are not ours": {`{"Metadata":{"labels":{"serverless.fluid.io/inject":"true"}}}`, inject.ReasonNotLabelled},
		"an empty object":                    {`{}`, inject.ReasonNotLabelled},
		"null everywhere":                    {`{` + labelled + `,"spec":null}`, inject.ReasonNoDataset},
		"no spec":                            {`{` + labelled + `}`, inject.ReasonNoDataset},
		"null items":                         {`{` + labelled + `,"spec":{"containers":[null],"volumes":[null],"initContainers":[null]}}`, inject.ReasonNoDataset},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := inject.Plan(inject.Request{Pod: []byte(test.pod)})
			if err != nil || result.Reason != test.reason {
				t.Fatalf("got %+v, error %v", result, err)
			}
			if _, err := inject.Apply([]byte(test.pod), result.Operations); err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzPlan checks that the operations for any input can be applied, and that a second
// injection does nothing.
func FuzzPlan(f *testing.F) {
	for _, seed := range []string{`{}`, `{` + labelled + `,"spec":{"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"imagenet"}}],"containers":[{"volumeMounts":[{"name":"d"}]}]}}`} {
		f.Add([]byte(seed))
	}
	for _, c := range injecttest.Load(f, "testdata") {
		f.Add(c.Pod)
		if c.Out != nil {
			f.Add(c.Out)
		}
	}
	f.Fuzz(func(t *testing.T, pod []byte) {
		r := inject.Request{Pod: pod, Namespace: "vision", Image: "image:1", Datasets: map[string]*inject.Dataset{"imagenet": {Name: "imagenet", Ready: true}}}
		result, err := inject.Plan(r)
		if err != nil {
			var refused *inject.Refusal
			if !errors.As(err, &refused) {
				t.Fatalf("no refusal: %v", err)
			}
			return
		}
		if len(result.Operations) > 64 {
			t.Fatalf("%d operations", len(result.Operations))
		}
		out, err := inject.Apply(pod, result.Operations)
		if err != nil {
			t.Fatalf("%+v: %v", result.Operations, err)
		}
		r.Pod = out
		second, err := inject.Plan(r)
		if err != nil || len(second.Operations) > 0 {
			t.Fatalf("the second pass: %+v, error %v", second, err)
		}
		removed, err := inject.Remove(out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inject.Apply(out, removed.Operations); err != nil {
			t.Fatal(err)
		}
	})
}
