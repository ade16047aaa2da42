package plan

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

func named(namespace, name string) *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{}
	d.Namespace, d.Name = namespace, name
	return d
}

func annotated(namespace, name, dataset string) *v1alpha1.JindoRuntime {
	r := &v1alpha1.JindoRuntime{}
	r.Namespace, r.Name = namespace, name
	if dataset != "" {
		r.Annotations = map[string]string{v1alpha1.DatasetAnnotation: dataset}
	}
	return r
}

func TestBound(t *testing.T) {
	tests := []struct {
		name    string
		dataset *v1alpha1.Dataset
		runtime *v1alpha1.JindoRuntime
		want    string // part of the sentence; empty when bound
	}{
		{"one name", named("", "a"), annotated("", "a", ""), ""},
		{"the annotation", named("", "hbase"), annotated("", "hadoop", "hbase"), ""},
		{"default with and without the namespace", named("default", "a"), annotated("", "a", ""), ""},
		{"no Dataset", nil, annotated("", "a", ""), `create Dataset "a"`},
		{"no annotated Dataset", nil, annotated("", "hadoop", "hbase"), `create Dataset "hbase"`},
		{"the seed's pair", named("", "hbase"), annotated("", "hadoop", ""), "add the annotation data.fluid.io/dataset: hbase to the JindoRuntime"},
		{"the annotation outweighs the name", named("", "hadoop"), annotated("", "hadoop", "hbase"), `is annotated to serve Dataset "hbase", not "hadoop"`},
		{"two namespaces", named("x", "a"), annotated("y", "a", ""), `JindoRuntime "a" is in namespace "y" and Dataset "a" is in "x"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := UnboundReason(test.dataset, test.runtime)
			if Bound(test.dataset, test.runtime) != (test.want == "") || (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("the reason %q does not contain %q", got, test.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	datasets := []*v1alpha1.Dataset{named("", "hadoop"), named("other", "hbase"), named("", "hbase")}
	if got := Find(datasets, annotated("", "hadoop", "hbase")); got != datasets[2] {
		t.Errorf("found %+v", got)
	}
	if got := Find(datasets, annotated("", "x", "")); got != nil {
		t.Errorf("found %+v for a runtime that serves none", got)
	}
}

func TestServing(t *testing.T) {
	at := func(name, annotation string, second int64) *v1alpha1.JindoRuntime {
		r := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Unix(second, 0)}}
		if annotation != "" {
			r.Annotations = map[string]string{v1alpha1.DatasetAnnotation: annotation}
		}
		return r
	}
	for _, test := range []struct {
		name     string
		runtimes []*v1alpha1.JindoRuntime
		want     string
	}{
		{"none", nil, ""},
		{"not bound", []*v1alpha1.JindoRuntime{at("hadoop", "", 1)}, ""},
		{"the older", []*v1alpha1.JindoRuntime{at("hbase", "", 2), at("hadoop", "hbase", 1)}, "hadoop"},
		{"the older comes last", []*v1alpha1.JindoRuntime{at("hadoop", "hbase", 2), at("hbase", "", 1), at("other", "", 0)}, "hbase"},
		{"equally old", []*v1alpha1.JindoRuntime{at("hbase", "", 1), at("hadoop", "hbase", 1)}, "hadoop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dataset := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: "hbase"}}
			got := ""
			if r := Serving(dataset, test.runtimes); r != nil {
				got = r.Name
			}
			if got != test.want {
				t.Errorf("got %q", got)
			}
		})
	}
}
