package validation

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/plan"
)

// DirectoryWarnings returns a warning for each mount of a directory that is not
// served, because the runtime declares no volume that contains it. The object is a
// Dataset or a JindoRuntime; the other one is read, and may not exist yet. Both may
// still be changed, so these are no errors.
func DirectoryWarnings(ctx context.Context, reader client.Reader, object client.Object) []string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := &check{reader: reader, namespace: object.GetNamespace()}
	switch o := object.(type) {
	case *v1alpha1.Dataset:
		if runtimes := c.claimants(ctx, o.Name); len(runtimes) > 0 {
			return directories(plan.Serving(o, runtimes), o, "")
		}
	case *v1alpha1.JindoRuntime:
		dataset := &v1alpha1.Dataset{}
		if err := reader.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: plan.DatasetName(o)}, dataset); err == nil {
			return directories(o, dataset, "Dataset "+dataset.Name+": ")
		}
	}
	return nil
}

func directories(runtime *v1alpha1.JindoRuntime, dataset *v1alpha1.Dataset, prefix string) []string {
	var warnings []string
	if runtime == nil {
		return nil
	}
	if errs, _ := v1alpha1.Validate(dataset); len(errs) > 0 {
		return nil // it is not served, and may have any number of mounts
	}
	for i, mount := range dataset.Spec.Mounts {
		if message := plan.DirectoryProblem(runtime, mount.MountPoint); message != "" {
			warnings = append(warnings, fmt.Sprintf("%s%s: %s", prefix, field.NewPath("spec", "mounts").Index(i).Child("mountPoint"), message))
		}
	}
	return warnings
}
