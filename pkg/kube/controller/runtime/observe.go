package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// revisionLabel is the revision label of pods of StatefulSets and DaemonSets.
const revisionLabel = "controller-revision-hash"

// observe reads the workloads and pods, and takes the steps that depend on the nodes
// of pods.
func (p *pass) observe(ctx context.Context) error {
	var err error
	if c := p.plan.Masters; c != nil {
		if p.observed.masters, err = p.statefulSet(ctx, c.Name); err != nil {
			return err
		}
	}
	if c := p.plan.Workers; c != nil {
		if p.observed.workers, err = p.statefulSet(ctx, c.Name); err != nil {
			return err
		}
	}
	if c := p.plan.Fuse; c != nil {
		set := &appsv1.DaemonSet{}
		found, err := p.get(ctx, c.Name, set)
		if err != nil {
			return err
		}
		if found {
			p.observed.fuse = set
		}
	}
	if err := p.findPods(ctx); err != nil {
		return err
	}
	if err := p.replaceUnscheduled(ctx); err != nil {
		return err
	}
	p.recordDirectories()
	if err := p.labelNodes(ctx); err != nil {
		return err
	}
	return p.findCreateFailures(ctx)
}

func (p *pass) statefulSet(ctx context.Context, name string) (*appsv1.StatefulSet, error) {
	set := &appsv1.StatefulSet{}
	found, err := p.get(ctx, name, set)
	if err != nil || !found {
		return nil, err
	}
	return set, nil
}

// get reads an object, and reports whether it exists and the runtime controls it.
func (p *pass) get(ctx context.Context, name string, object client.Object) (bool, error) {
	err := p.r.Client.Get(ctx, client.ObjectKey{Namespace: p.runtime.Namespace, Name: name}, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get %s/%s: %w", p.runtime.Namespace, name, err)
	}
	return metav1.IsControlledBy(object, p.runtime), nil
}

func (p *pass) findPods(ctx context.Context) error {
	list := &corev1.PodList{}
	err := p.r.Client.List(ctx, list, client.InNamespace(p.runtime.Namespace), client.MatchingLabels{
		names.LabelApp: names.App, names.LabelRelease: p.runtime.Name, names.LabelManagedBy: names.ManagedBy,
	})
	if err != nil {
		return fmt.Errorf("list pods of JindoRuntime %s/%s: %w", p.runtime.Namespace, p.runtime.Name, err)
	}
	for _, pod := range list.Items {
		role := plan.Role(strings.TrimPrefix(pod.Labels[names.LabelRole], "jindofs-"))
		p.observed.pods[role] = append(p.observed.pods[role], pod)
	}
	for _, pods := range p.observed.pods {
		slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	}
	return nil
}

// replaceUnscheduled deletes unscheduled pods of an older template: they have no
// data, and pods of the newer template may be schedulable.
func (p *pass) replaceUnscheduled(ctx context.Context) error {
	for role, set := range map[plan.Role]*appsv1.StatefulSet{plan.RoleMaster: p.observed.masters, plan.RoleWorker: p.observed.workers} {
		if set == nil || set.Status.ObservedGeneration != set.Generation || set.Status.UpdateRevision == "" {
			continue
		}
		for i := range p.observed.pods[role] {
			pod := &p.observed.pods[role][i]
			older := pod.Labels[revisionLabel] != set.Status.UpdateRevision
			if !older || pod.Spec.NodeName != "" || !pod.DeletionTimestamp.IsZero() {
				continue
			}
			err := p.r.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion})
			if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
				return fmt.Errorf("delete unscheduled pod %s of an older template: %w", pod.Name, err)
			}
		}
	}
	return nil
}

// olderPods returns the names of pods with an older template.
func (p *pass) olderPods() []string {
	var older []string
	check := func(role plan.Role, revision string) {
		for _, pod := range p.observed.pods[role] {
			if revision != "" && pod.Spec.NodeName != "" && pod.DeletionTimestamp.IsZero() && pod.Labels[revisionLabel] != revision {
				older = append(older, pod.Name)
			}
		}
	}
	for role, set := range map[plan.Role]*appsv1.StatefulSet{plan.RoleMaster: p.observed.masters, plan.RoleWorker: p.observed.workers} {
		if set != nil && set.Status.ObservedGeneration == set.Generation {
			check(role, set.Status.UpdateRevision)
		}
	}
	if set := p.observed.fuse; set != nil && set.Status.ObservedGeneration == set.Generation &&
		set.Status.UpdatedNumberScheduled < set.Status.CurrentNumberScheduled {
		older = append(older, fmt.Sprintf("%d of %d %s", set.Status.CurrentNumberScheduled-set.Status.UpdatedNumberScheduled,
			set.Status.CurrentNumberScheduled, set.Name))
	}
	slices.Sort(older)
	return older
}
