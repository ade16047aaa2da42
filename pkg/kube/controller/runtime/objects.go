package runtime

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/render"
)

// objects applies the objects of a runtime.
//
// Input: the desired state, the certificate of the authority, the nodes of masters'
// volumes, whether directories are refused, the workers that leave, and the fallbacks.
// Output: the objects, and the pod templates that were applied.
type objects struct {
	client    client.Client
	workloads workloadReader
	fallbacks fallbacks
	applied   *appliedObjects
	// image is the image of the controller.
	image             string
	priorityClass     string
	fusePriorityClass string
	hostPaths         hostpath.Policy
	systemNamespace   string
}

// reconcile applies the objects. It continues after an object that cannot be applied,
// and returns the errors of all.
func (o objects) reconcile(ctx context.Context, r *report, want *desired, ca []byte, p *placement, refused *refusal, leaving drained) (templates, error) {
	formation := r.status.Formation
	in := render.Input{
		Plan: want.plan, Runtime: want.runtime, Dataset: want.dataset, Scope: want.scope, Images: want.effective.Images,
		ClusterID: formation.ClusterID, Formed: formation.Formed, CA: ca, MasterNodes: p.masters,
		PriorityClass: o.priorityClass, FusePriorityClass: o.fusePriorityClass, HostPaths: o.hostPaths, SystemNamespace: o.systemNamespace, PodSecurity: refused.podSecurity,
	}
	rendered, err := render.Objects(in)
	if err := refused.observe(err); err != nil {
		return nil, err
	}
	if refused.any() {
		// Nothing is created for a runtime of which nothing exists: an edit of its spec
		// is carried out as a whole.
		w, err := o.workloads.reconcile(ctx, want)
		if err != nil || !w.exist() {
			return nil, err
		}
	} else if err := o.setScaling(ctx, r, want, leaving); err != nil {
		return nil, err
	}
	for _, object := range rendered {
		if err := o.keepTemplate(ctx, want, object); err != nil {
			return nil, err
		}
	}
	var failed error
	applied := templates{}
	for _, object := range o.fallbacks.use(r, want, &in, rendered) {
		err := o.apply(ctx, want.runtime.UID, object)
		if template := render.Template(object); template != nil && err == nil {
			applied[role(object.GetLabels())] = template
		}
		failed = errors.Join(failed, err)
	}
	return applied, failed
}

// keepTemplate keeps the existing pod template if the effective spec has templates of
// another version of the controller: the pods run the image of that version, too.
func (o objects) keepTemplate(ctx context.Context, want *desired, object client.Object) error {
	if want.effective.Renderer == o.image {
		return nil
	}
	switch set := object.(type) {
	case *appsv1.StatefulSet:
		current, err := o.workloads.statefulSet(ctx, want.runtime, set.Name)
		if err != nil || current == nil {
			return err
		}
		kept := current.DeepCopy()
		set.Spec.Template, set.Spec.VolumeClaimTemplates = kept.Spec.Template, kept.Spec.VolumeClaimTemplates
	case *appsv1.DaemonSet:
		current := &appsv1.DaemonSet{}
		found, err := o.workloads.get(ctx, want.runtime, set.Name, current)
		if err != nil || !found {
			return err
		}
		set.Spec.Template = *current.Spec.Template.DeepCopy()
	}
	return nil
}

// setScaling records when workers are added or removed.
func (o objects) setScaling(ctx context.Context, r *report, want *desired, leaving drained) error {
	if want.plan.Workers == nil {
		return nil
	}
	set, err := o.workloads.statefulSet(ctx, want.runtime, want.plan.Workers.Name)
	if err != nil || set == nil || set.Spec.Replicas == nil {
		return err
	}
	before, now := *set.Spec.Replicas, want.plan.Workers.Replicas
	kind, reason, message := v1alpha1.RuntimeWorkersScaledOut, reasonScaledOut, fmt.Sprintf("scaling workers from %d to %d", before, now)
	switch {
	case now == before:
		return nil
	case now < before:
		kind, reason = v1alpha1.RuntimeWorkersScaledIn, reasonScaledIn
		if more := leaving.message(); more != "" {
			message += ": " + more
		}
	}
	removeCondition(&r.status.Conditions, kind)
	r.setNote(kind, reason, message)
	r.addEvent(len(leaving.failed) > 0, reason, message)
	return nil
}
