// Package injecttest loads the test cases of pkg/kube/inject/testdata for the tests of
// the function, the webhook and the command line.
package injecttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/inject"
)

// Inputs of every case.
const (
	Namespace = "vision"
	Image     = "docker.io/jindo-io/jindo:v1.2.3"
)

// Case is one test case, which is stored in a directory.
type Case struct {
	Name string
	// Dir contains in.yaml, datasets.yaml and the expected results.
	Dir string
	// Pod is in.yaml as JSON.
	Pod []byte
	// Objects contains the Datasets, JindoRuntimes and claims of datasets.yaml.
	Objects []client.Object
	// Out is the expected pod and Patch the expected operations; both are nil if
	// the pod is refused.
	Out   []byte
	Patch []inject.Operation
	// Outcome is the expected outcome with warnings, or the expected refusal.
	Outcome string
}

// Load returns all cases below a directory.
func Load(t testing.TB, dir string) []Case {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(dir, "*", "in.yaml"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases in %s: %v", dir, err)
	}
	cases := make([]Case, len(dirs))
	for i, in := range dirs {
		d := filepath.Dir(in)
		c := Case{Name: filepath.Base(d), Dir: d, Pod: toJSON(t, read(t, in))}
		c.Objects = objects(t, read(t, filepath.Join(d, "datasets.yaml")))
		c.Outcome = string(read(t, filepath.Join(d, "outcome.txt")))
		if out := read(t, filepath.Join(d, "out.yaml")); out != nil {
			c.Out = toJSON(t, out)
		}
		if patch := read(t, filepath.Join(d, "patch.json")); patch != nil {
			if err := json.Unmarshal(patch, &c.Patch); err != nil {
				t.Fatalf("%s: %v", d, err)
			}
		}
		cases[i] = c
	}
	return cases
}

// read returns the content of a file; nil if it does not exist.
func read(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return raw
}

func toJSON(t testing.TB, raw []byte) []byte {
	t.Helper()
	out, err := yaml.YAMLToJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func objects(t testing.TB, raw []byte) []client.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []client.Object
	for document := range bytes.SplitSeq(raw, []byte("\n---\n")) {
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		decoded, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		object, ok := decoded.(client.Object)
		if !ok {
			t.Fatalf("%T is not an object", decoded)
		}
		object.SetNamespace(Namespace)
		all = append(all, object)
	}
	return all
}

// Datasets returns the Datasets among objects by their claims, as the webhook finds
// them.
func Datasets(objects []client.Object) map[string]*inject.Dataset {
	found := map[string]*inject.Dataset{}
	for _, object := range objects {
		dataset, ok := object.(*v1alpha1.Dataset)
		if !ok {
			continue
		}
		d := &inject.Dataset{Name: dataset.Name, Phase: dataset.Status.Phase, Volume: dataset.Status.VolumeName}
		for _, c := range dataset.Status.Conditions {
			if c.Type == v1alpha1.DatasetReady {
				d.Ready, d.Message = c.Status == corev1.ConditionTrue, c.Message
			}
		}
		for _, other := range objects {
			if r, ok := other.(*v1alpha1.JindoRuntime); ok && r.Name == dataset.Name {
				d.Runtime = r
			}
		}
		found[dataset.Name] = d
	}
	return found
}
