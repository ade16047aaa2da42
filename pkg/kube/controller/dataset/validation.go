package dataset

import (
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
	"github.com/jindo-io/jindo/pkg/plan"
)

// guard says, for people, why a spec cannot be carried out; it is empty for one
// that can. The API server and the webhook refuse the same, but neither needs
// to have been there when the Dataset was written.
func validate(dataset *v1alpha1.Dataset) string {
	var sentences []string
	errs, _ := v1alpha1.Validate(dataset)
	for _, err := range errs {
		sentences = append(sentences, err.Error())
	}
	if _, err := datasetvolume.Size(dataset); err != nil {
		sentences = append(sentences, err.Error())
	}
	return strings.Join(sentences, "; ")
}

// mountPlan is the plan's part about mounts. It is empty for a spec that is
// refused.
func mountPlan(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) plan.Plan {
	// What a runtime's own spec says changes nothing about mounts but their
	// credentials, and a runtime that is refused must not hide them.
	bound := &v1alpha1.JindoRuntime{}
	bound.Namespace, bound.Name = dataset.Namespace, "x"
	if runtime != nil {
		bound.Spec.Secret = runtime.Spec.Secret
	}
	bound.Annotations = map[string]string{v1alpha1.DatasetAnnotation: dataset.Name}
	p, err := plan.Build(dataset, bound)
	if err != nil {
		return plan.Plan{}
	}
	return *p
}
