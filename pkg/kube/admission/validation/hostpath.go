package validation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
)

// CheckHostPaths returns an error for each tier and volume of a runtime that is a
// directory of nodes which the policy does not allow. Those that old has too become
// warnings, so that an unrelated part of the runtime can be changed; the controller
// does not use them either. Old is nil for a new runtime.
func CheckHostPaths(policy hostpath.Policy, old, runtime *v1alpha1.JindoRuntime) (field.ErrorList, []string) {
	before := map[string]bool{}
	if old != nil {
		for _, err := range hostPaths(policy, old) {
			before[fmt.Sprint(err.BadValue)] = true
		}
	}
	var errs field.ErrorList
	var warnings []string
	for _, err := range hostPaths(policy, runtime) {
		if before[fmt.Sprint(err.BadValue)] {
			warnings = append(warnings, err.Error())
			continue
		}
		errs = append(errs, err)
	}
	return errs, warnings
}

// hostPaths returns an error for each refused directory; the value is the directory.
func hostPaths(policy hostpath.Policy, runtime *v1alpha1.JindoRuntime) field.ErrorList {
	runtime = runtime.DeepCopy()
	v1alpha1.SetDefaults(runtime)
	var errs field.ErrorList
	levels := field.NewPath("spec", "tieredstore", "levels")
	for i, level := range runtime.Spec.TieredStore.Levels {
		if !level.OnNode() {
			continue
		}
		for _, p := range level.Paths() {
			if err := policy.Check(p); err != nil {
				errs = append(errs, field.Invalid(levels.Index(i).Child("path"), p, err.Error()))
			}
		}
	}
	for i, v := range runtime.Spec.Volumes {
		if v.HostPath != nil {
			errs = append(errs, field.Invalid(field.NewPath("spec", "volumes").Index(i).Child("hostPath", "path"), v.HostPath.Path,
				"a volume of a runtime cannot be a directory of nodes: write a persistentVolumeClaim, for example of a volume that the cluster's administrator created for this directory, or another volume"))
		}
	}
	return errs
}
