package dataset

import (
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
	"github.com/jindo-io/jindo/pkg/plan"
)

// validate returns a message about the errors of a Dataset's spec; empty if it is
// valid. The API server and the webhook make the same checks, but the Dataset may
// have been written before they were installed.
func validate(dataset *v1alpha1.Dataset) string {
	var messages []string
	errs, _ := v1alpha1.Validate(dataset)
	for _, err := range errs {
		messages = append(messages, err.Error())
	}
	if _, err := datasetvolume.Size(dataset); err != nil {
		messages = append(messages, err.Error())
	}
	return strings.Join(messages, "; ")
}

// mountPlan returns a plan with the mounts of a Dataset; empty if its spec is
// invalid.
func mountPlan(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) plan.Plan {
	// Of the runtime's spec only the credentials affect mounts. The rest is left
	// out, so that an invalid runtime does not hide them.
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
