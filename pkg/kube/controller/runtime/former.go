package runtime

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// formerMasters removes the objects of masters that were stopped because their number
// was reduced. Their claims remain: they hold a log, and the disks may be used again.
//
// Input: the desired state and the workloads. Output: deleted Services, and a deleted
// PodDisruptionBudget if none applies to the remaining number.
type formerMasters struct {
	client client.Client
}

func (f formerMasters) reconcile(ctx context.Context, want *desired, w *workloads) error {
	masters := want.plan.Masters
	if masters == nil {
		return nil
	}
	if masters.ListedInstances() < v1alpha1.MaxMasters {
		budget := &policyv1.PodDisruptionBudget{}
		if err := f.remove(ctx, want, masters.Name, budget); err != nil {
			return err
		}
	}
	for ordinal := int(masters.Replicas); ordinal < v1alpha1.MaxMasters; ordinal++ {
		if w.hasPod(plan.RoleMaster, masters.InstanceName(ordinal)) {
			continue // it may still be needed to be reached
		}
		if err := f.remove(ctx, want, names.MasterService(want.plan.Name, ordinal), &corev1.Service{}); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an object of the runtime if it exists.
func (f formerMasters) remove(ctx context.Context, want *desired, name string, object client.Object) error {
	key := client.ObjectKey{Namespace: want.runtime.Namespace, Name: name}
	err := f.client.Get(ctx, key, object)
	if apierrors.IsNotFound(err) || err == nil && (!metav1.IsControlledBy(object, want.runtime) || !object.GetDeletionTimestamp().IsZero()) {
		return nil
	}
	if err == nil {
		uid := object.GetUID()
		err = f.client.Delete(ctx, object, client.Preconditions{UID: &uid})
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove %T %s of a former master: %w", object, key, err)
	}
	return nil
}

// hasPod reports whether a pod of a role exists.
func (w *workloads) hasPod(role plan.Role, name string) bool {
	for _, pod := range w.owned(role) {
		if pod.Name == name {
			return true
		}
	}
	return false
}
