package plan

import (
	"strings"
	"testing"

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
		{"default said and unsaid", named("default", "a"), annotated("", "a", ""), ""},
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
				t.Errorf("the reason is %q, want %q in it", got, test.want)
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
