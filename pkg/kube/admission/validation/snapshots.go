package validation

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/plan"
)

// snapshots refuses a schedule of snapshots that names a mount which the Dataset of the
// runtime does not have, or has read-only. Without the Dataset, which may be created
// later, and for a schedule that is not changed, the condition SnapshotsFailing has the
// reason.
func (c *check) snapshots(ctx context.Context, old, runtime *v1alpha1.JindoRuntime) {
	if runtime.Spec.Master.Snapshots == nil || runtime.DeletionTimestamp != nil {
		return
	}
	dataset := &v1alpha1.Dataset{}
	if err := c.reader.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: plan.DatasetName(runtime)}, dataset); err != nil {
		return
	}
	problem := snapshotProblem(dataset, runtime)
	if problem == "" {
		return
	}
	path := field.NewPath("spec", "master", "snapshots", "mount")
	if old != nil && equality.Semantic.DeepEqual(old.Spec.Master.Snapshots, runtime.Spec.Master.Snapshots) {
		c.warn(path, "%s", problem)
		return
	}
	c.errs = append(c.errs, field.Invalid(path, runtime.Spec.Master.Snapshots.Mount, problem))
}

// snapshotMount warns of a Dataset without the mount that the runtime which serves it
// names for its snapshots.
func (c *check) snapshotMount(dataset *v1alpha1.Dataset, serving *v1alpha1.JindoRuntime) {
	if serving == nil {
		return
	}
	if problem := snapshotProblem(dataset, serving); problem != "" {
		c.warnings = append(c.warnings, fmt.Sprintf("no snapshots of the masters of JindoRuntime %s will be saved: %s", serving.Name, problem))
	}
}

func snapshotProblem(dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) string {
	if errs, _ := v1alpha1.Validate(dataset); len(errs) > 0 {
		return "" // it is not served
	}
	dataset, runtime = dataset.DeepCopy(), runtime.DeepCopy()
	v1alpha1.SetDefaults(dataset)
	v1alpha1.SetDefaults(runtime)
	return plan.SnapshotMountProblem(dataset, runtime)
}
