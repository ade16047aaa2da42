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

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// workloadReader reads the workloads and pods of a runtime.
//
// Input: the desired state. Output: the workloads. It changes nothing.
type workloadReader struct {
	client client.Reader
}

// workloads are a runtime's workloads as observed; nil if they do not exist.
type workloads struct {
	masters, workers *appsv1.StatefulSet
	fuse             *appsv1.DaemonSet
	// pods are sorted by name.
	pods map[plan.Role][]corev1.Pod
}

// exist reports whether pods may exist.
func (w *workloads) exist() bool { return w.masters != nil || w.workers != nil || w.fuse != nil }

func (c workloadReader) reconcile(ctx context.Context, want *desired) (*workloads, error) {
	w := &workloads{}
	var err error
	if component := want.plan.Masters; component != nil {
		if w.masters, err = c.statefulSet(ctx, want.runtime, component.Name); err != nil {
			return nil, err
		}
	}
	if component := want.plan.Workers; component != nil {
		if w.workers, err = c.statefulSet(ctx, want.runtime, component.Name); err != nil {
			return nil, err
		}
	}
	if component := want.plan.Fuse; component != nil {
		set := &appsv1.DaemonSet{}
		found, err := c.get(ctx, want.runtime, component.Name, set)
		if err != nil {
			return nil, err
		}
		if found {
			w.fuse = set
		}
	}
	w.pods, err = c.findPods(ctx, want.runtime)
	return w, err
}

func (c workloadReader) statefulSet(ctx context.Context, owner *v1alpha1.JindoRuntime, name string) (*appsv1.StatefulSet, error) {
	set := &appsv1.StatefulSet{}
	found, err := c.get(ctx, owner, name, set)
	if err != nil || !found {
		return nil, err
	}
	return set, nil
}

// get reads an object, and reports whether it exists and the runtime controls it.
func (c workloadReader) get(ctx context.Context, owner *v1alpha1.JindoRuntime, name string, object client.Object) (bool, error) {
	err := c.client.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: name}, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get %s/%s: %w", owner.Namespace, name, err)
	}
	return metav1.IsControlledBy(object, owner), nil
}

func (c workloadReader) findPods(ctx context.Context, owner *v1alpha1.JindoRuntime) (map[plan.Role][]corev1.Pod, error) {
	list := &corev1.PodList{}
	err := c.client.List(ctx, list, client.InNamespace(owner.Namespace), client.MatchingLabels{
		names.LabelApp: names.App, names.LabelRelease: owner.Name, names.LabelManagedBy: names.ManagedBy,
	})
	if err != nil {
		return nil, fmt.Errorf("list pods of JindoRuntime %s/%s: %w", owner.Namespace, owner.Name, err)
	}
	all := map[plan.Role][]corev1.Pod{}
	for _, pod := range list.Items {
		of := role(pod.Labels)
		all[of] = append(all[of], pod)
	}
	for _, pods := range all {
		slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	}
	return all, nil
}

// role returns the role in the labels of an object.
func role(labels map[string]string) plan.Role {
	return plan.Role(strings.TrimPrefix(labels[names.LabelRole], "jindofs-"))
}

// anyPodRunning reports whether a pod of the role is running.
func (w *workloads) anyPodRunning(role plan.Role) bool {
	for _, pod := range w.pods[role] {
		if pod.Status.PodIP != "" && pod.Status.Phase == corev1.PodRunning {
			return true
		}
	}
	return false
}
