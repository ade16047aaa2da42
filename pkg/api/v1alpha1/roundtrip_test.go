package v1alpha1

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// fullManifests returns the objects of testdata/full-*.yaml, as trees and as text.
func fullManifests(t *testing.T) (trees []map[string]any, texts []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/full-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range strings.Split(string(raw), "\n---\n") {
			trees, texts = append(trees, parseTree(t, text)), append(texts, text)
		}
	}
	return trees, texts
}

func parseTree(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	tree := map[string]any{}
	if err := utiljson.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// treeOf returns an object as it is encoded.
func treeOf(t *testing.T, object any) map[string]any {
	t.Helper()
	raw, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return parseTree(t, string(raw))
}

// leaves returns the paths in a tree, with [] after lists.
func leaves(tree any, at string, into map[string]bool) {
	switch v := tree.(type) {
	case map[string]any:
		into[at] = true
		for key, inner := range v {
			leaves(inner, at+"."+key, into)
		}
	case []any:
		into[at] = true
		for _, inner := range v {
			leaves(inner, at+"[]", into)
		}
	default:
		into[at] = true
	}
}

// The manifests contain every field, so that the other tests cover all of them.
func TestFullManifestsHoldEveryField(t *testing.T) {
	trees, _ := fullManifests(t)
	set := map[string]map[string]bool{}
	for _, tree := range trees {
		kind := tree["kind"].(string)
		if set[kind] == nil {
			set[kind] = map[string]bool{}
		}
		leaves(tree["spec"], "spec", set[kind])
	}
	for kind, spec := range specs() {
		for _, f := range walk(spec, "spec", map[string]string{}) {
			if !set[kind][f.path] {
				t.Errorf("%s %s is in no manifest", kind, f.path)
			}
		}
	}
}

// Every field is preserved: it is the same after strict decoding and encoding, the schema
// does not prune it, Validate accepts it, and defaulting only adds fields.
func TestRoundTrip(t *testing.T) {
	trees, texts := fullManifests(t)
	for i, text := range texts {
		written := trees[i]
		kind := written["kind"].(string)
		t.Run(kind, func(t *testing.T) {
			object := decodeOne(t, text)
			if errs, _ := Validate(object); len(errs) > 0 {
				t.Errorf("Validate returned errors: %v", errs)
			}
			checkKept(t, "read and written again", written, treeOf(t, object))
			stored := runtime.DeepCopyJSON(written)
			if errs := schemaOf(t, kind).errors(stored); len(errs) > 0 {
				t.Errorf("the schema rejects the manifest: %v", errs)
			}
			checkKept(t, "stored by the API server", written, stored)
			SetDefaults(object)
			checkKept(t, "with defaults", written, treeOf(t, object))
			if errs := schemaOf(t, kind).errors(withoutStatus(treeOf(t, object))); len(errs) > 0 {
				t.Errorf("the schema rejects the manifest with defaults: %v", errs)
			}
		})
	}
}

func withoutStatus(tree map[string]any) map[string]any {
	delete(tree, "status")
	return tree
}

// checkKept checks that all fields are preserved. Sizes that are numbers may have become
// text.
func checkKept(t *testing.T, how string, want, got any) {
	t.Helper()
	kept(t, how, "", want, got)
}

func kept(t *testing.T, how, at string, want, got any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for key, inner := range w {
			if inner == false && g[key] == nil {
				continue // empty values are omitted
			}
			kept(t, how, at+"."+key, inner, g[key])
		}
	case []any:
		g, _ := got.([]any)
		if len(g) != len(w) {
			t.Errorf("%s: %s has %d entries, want %d", how, at, len(g), len(w))
			return
		}
		for i := range w {
			kept(t, how, at+index(i), w[i], g[i])
		}
	default:
		if !reflect.DeepEqual(want, got) && (!strings.HasSuffix(at, ".quota") || got != "4294967296") {
			t.Errorf("%s: %s is %v, was %v", how, at, got, want)
		}
	}
}

// The schema accepts every partial status, and a full status has the fields that Fluid's
// schema requires.
func TestStatusIsAccepted(t *testing.T) {
	for kind, status := range map[string][]any{
		DatasetKind:      {DatasetStatus{}, DatasetStatus{Conditions: []DatasetCondition{{Type: DatasetReady, Status: "True"}}}, map[string]any{"phase": "Bound"}},
		JindoRuntimeKind: {RuntimeStatus{}, map[string]any{"conditions": []any{}}, RuntimeStatus{Raft: &RaftStatus{Leader: "a", Term: 3}, Formation: &Formation{ClusterID: "c"}}},
		DataLoadKind:     {OperationStatus{}, OperationStatus{Conditions: []Condition{}}},
	} {
		for _, s := range status {
			object := map[string]any{
				"apiVersion": APIVersion, "kind": kind, "metadata": map[string]any{"name": "a"},
				"spec": map[string]any{"dataset": map[string]any{"name": "a"}}, "status": treeOf(t, s),
			}
			if errs := schemaOf(t, kind).errors(object); len(errs) > 0 {
				t.Errorf("%s with status %+v: %v", kind, s, errs)
			}
		}
	}
}

// Names, columns and subresources are those of Fluid.
func TestCRDNames(t *testing.T) {
	for kind, want := range map[string]struct {
		plural, short string
		columns       []string // of priority 0
		scale         bool
	}{
		DatasetKind:      {"datasets", "dataset", []string{"Ufs Total Size", "Cached", "Cache Capacity", "Cached Percentage", "Phase", "AGE"}, false},
		JindoRuntimeKind: {"jindoruntimes", "jindo", []string{"Master Phase", "Worker Phase", "Fuse Phase", "Age"}, true},
		DataLoadKind:     {"dataloads", "load", []string{"Dataset", "Phase", "AGE", "Duration"}, false},
	} {
		crd := schemaOf(t, kind).crd.Spec
		if crd.Group != Group || crd.Names.Plural != want.plural || !slices.Equal(crd.Names.ShortNames, []string{want.short}) || !slices.Equal(crd.Names.Categories, []string{"fluid"}) {
			t.Errorf("%s is named %s %+v", kind, crd.Group, crd.Names)
		}
		var columns []string
		for _, c := range crd.AdditionalPrinterColumns {
			if c.Priority == 0 {
				columns = append(columns, c.Name)
			}
		}
		if !slices.Equal(columns, want.columns) {
			t.Errorf("%s has the columns %q, want %q", kind, columns, want.columns)
		}
		if crd.Subresources == nil || crd.Subresources.Status == nil || (crd.Subresources.Scale != nil) != want.scale {
			t.Errorf("%s has the subresources %+v", kind, crd.Subresources)
		}
		if want.scale && (crd.Subresources.Scale == nil || crd.Subresources.Scale.LabelSelectorPath == nil || *crd.Subresources.Scale.LabelSelectorPath != ".status.selector") {
			t.Errorf("%s can not be scaled by an autoscaler", kind)
		}
	}
}
