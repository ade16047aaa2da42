package plan

import (
	"fmt"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// Bound reports whether a runtime serves a Dataset: they are in the same namespace,
// and the runtime's annotation data.fluid.io/dataset names the Dataset or, if the
// annotation is absent, they have the same name.
func Bound(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) bool {
	return UnboundReason(dataset, runtime) == ""
}

// Find returns the Dataset that a runtime serves, or nil if it is not in datasets.
func Find(datasets []*v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) *v1alpha1.Dataset {
	for _, d := range datasets {
		if Bound(d, runtime) {
			return d
		}
	}
	return nil
}

// Serving returns the runtime that serves a Dataset: the oldest of those [Bound] to
// it, and of equally old ones the first by name. It returns nil if there is none.
func Serving(dataset *v1alpha1.Dataset, runtimes []*v1alpha1.JindoRuntime) *v1alpha1.JindoRuntime {
	var serving *v1alpha1.JindoRuntime
	for _, r := range runtimes {
		if !Bound(dataset, r) {
			continue
		}
		if serving == nil || older(r, serving) {
			serving = r
		}
	}
	return serving
}

func older(a, b *v1alpha1.JindoRuntime) bool {
	if at, bt := a.CreationTimestamp.Time, b.CreationTimestamp.Time; !at.Equal(bt) {
		return at.Before(bt)
	}
	return a.Name < b.Name
}

// UnboundReason returns a message that explains why a runtime does not serve a
// Dataset and what to change. It is empty for a pair that is [Bound]. The Dataset
// may be nil.
func UnboundReason(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) string {
	wanted := DatasetName(runtime)
	if dataset == nil {
		return fmt.Sprintf("JindoRuntime %q serves no Dataset: create Dataset %q, or name another in the runtime's annotation %s",
			runtime.Name, wanted, v1alpha1.DatasetAnnotation)
	}
	if namespace(dataset.Namespace) != namespace(runtime.Namespace) {
		return fmt.Sprintf("JindoRuntime %q is in namespace %q and Dataset %q is in %q: put both into one",
			runtime.Name, namespace(runtime.Namespace), dataset.Name, namespace(dataset.Namespace))
	}
	if dataset.Name == wanted {
		return ""
	}
	if _, annotated := runtime.Annotations[v1alpha1.DatasetAnnotation]; annotated {
		return fmt.Sprintf("JindoRuntime %q is annotated to serve Dataset %q, not %q: write the annotation %s: %s",
			runtime.Name, wanted, dataset.Name, v1alpha1.DatasetAnnotation, dataset.Name)
	}
	return fmt.Sprintf("Dataset %q and JindoRuntime %q have different names: add the annotation %s: %s to the JindoRuntime",
		dataset.Name, runtime.Name, v1alpha1.DatasetAnnotation, dataset.Name)
}

// DatasetName returns the name of the Dataset that a runtime serves. The Dataset
// need not exist.
func DatasetName(runtime *v1alpha1.JindoRuntime) string {
	if name, annotated := runtime.Annotations[v1alpha1.DatasetAnnotation]; annotated {
		return name
	}
	return runtime.Name
}
