package dataset

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
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
	if _, err := v1alpha1.ClaimSize(dataset); err != nil {
		messages = append(messages, err.Error())
	}
	return strings.Join(messages, "; ")
}

// mountPlan returns a plan with the mounts of a Dataset; empty if its spec is
// invalid.
func mountPlan(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) plan.Plan {
	// Of the runtime's spec only the credentials and the declared volumes affect
	// mounts. The rest is left out, so that an invalid runtime does not hide them.
	bound, build := &v1alpha1.JindoRuntime{}, plan.BuildLocal
	bound.Namespace, bound.Name = dataset.Namespace, "x"
	if runtime != nil {
		build = plan.Build
		bound.Name, bound.Spec.Secret, bound.Spec.Volumes = runtime.Name, runtime.Spec.Secret, runtime.Spec.Volumes
		for _, mount := range runtime.Spec.Worker.VolumeMounts {
			if slices.ContainsFunc(bound.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
				bound.Spec.Worker.VolumeMounts = append(bound.Spec.Worker.VolumeMounts, mount)
			}
		}
	}
	bound.Annotations = map[string]string{v1alpha1.DatasetAnnotation: dataset.Name}
	p, err := build(dataset, bound)
	if err != nil {
		return plan.Plan{}
	}
	return *p
}
