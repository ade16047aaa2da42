package teardown

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/notes"
)

// object identifies an object.
type object struct {
	kind            schema.GroupVersionKind
	namespace, name string
}

func (o object) String() string { return o.kind.Kind + " " + o.name }

// removeWorkloads removes StatefulSets and DaemonSets first, so that their pods are
// not recreated.
func (t *teardown) removeWorkloads(ctx context.Context) (*Result, error) {
	name := func(role string) string { return names.Component(t.runtime.Name, role) }
	left, err := t.remove(ctx, t.runtime.Namespace, map[schema.GroupVersionKind][]string{
		appsv1.SchemeGroupVersion.WithKind("DaemonSet"):   {name("fuse")},
		appsv1.SchemeGroupVersion.WithKind("StatefulSet"): {name("worker"), name("master")},
	})
	if err != nil || len(left) == 0 {
		return nil, err
	}
	return waiting("%s is being deleted", left[0]), nil
}

// waitForPods waits for the deletion of the pods of the runtime's workloads by
// Kubernetes. Pods of others with the same labels are none of them. A pod that names a
// workload as its owner without being its own is deleted by Kubernetes, because the
// owner's uid does not exist. It does not wait for a pod whose node has not confirmed its end within podTerminationTimeout.
func (t *teardown) waitForPods(ctx context.Context) (*Result, error) {
	pods := &corev1.PodList{}
	if err := t.Live.List(ctx, pods, client.InNamespace(t.runtime.Namespace), client.MatchingLabels(names.Labels(t.runtime.Name, ""))); err != nil {
		return nil, fmt.Errorf("list pods of JindoRuntime %s/%s: %w", t.runtime.Namespace, t.runtime.Name, err)
	}
	var left []string
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !t.owns(pod) {
			continue
		}
		if at := pod.DeletionTimestamp; at != nil && time.Since(at.Time) > podTerminationTimeout {
			t.recordEvent("PodDoesNotEnd", "pod %s is still terminating, node %s may be unreachable: the deletion continues without it", pod.Name, pod.Spec.NodeName)
			continue
		}
		left = append(left, pod.Name)
	}
	if len(left) > 0 {
		return waiting("pods %s are terminating", strings.Join(left, ", ")), nil
	}
	return nil, nil
}

// owns reports whether a workload of the runtime, which may be deleted already, is the
// controller of a pod.
func (t *teardown) owns(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.APIVersion != appsv1.SchemeGroupVersion.String() {
		return false
	}
	return slices.Contains([]string{
		"StatefulSet/" + names.Component(t.runtime.Name, "master"), "StatefulSet/" + names.Component(t.runtime.Name, "worker"),
		"DaemonSet/" + names.Component(t.runtime.Name, "fuse"),
	}, owner.Kind+"/"+owner.Name)
}

// removeMasterClaims removes the claims with the masters' logs.
func (t *teardown) removeMasterClaims(ctx context.Context) (*Result, error) {
	for i := range v1alpha1.MaxMasters {
		name := types.NamespacedName{Namespace: t.runtime.Namespace, Name: names.MasterClaim(t.runtime.Name, i)}
		pvc := &corev1.PersistentVolumeClaim{}
		err := t.Live.Get(ctx, name, pvc)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("get PersistentVolumeClaim %s: %w", name, err)
		}
		volumes := t.volumeStore()
		volumes.IgnorePods = true
		if err := volumes.RemoveClaim(ctx, pvc); err != nil {
			return nil, err
		}
		return &Result{Waiting: fmt.Sprintf("PersistentVolumeClaim %s is being deleted", name.Name), RequeueAfter: stepInterval / 4}, nil
	}
	return nil, nil
}

// removeObjects removes all other objects, by name, and the authority.
func (t *teardown) removeObjects(ctx context.Context) (*Result, error) {
	n := t.runtime.Name
	services := []string{names.Component(n, "worker")}
	for i := range v1alpha1.MaxMasters {
		services = append(services, names.MasterService(n, i))
	}
	var secrets []string
	for _, role := range []string{"master", "worker", "fuse", "admin", "credentials"} {
		secrets = append(secrets, names.Secret(n, role))
	}
	core := corev1.SchemeGroupVersion
	left, err := t.remove(ctx, t.runtime.Namespace, map[schema.GroupVersionKind][]string{
		core.WithKind("Service"):                                    services,
		core.WithKind("ConfigMap"):                                  {names.Config(n)},
		core.WithKind("Secret"):                                     secrets,
		core.WithKind("ServiceAccount"):                             {names.ServiceAccount(n)},
		policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"): {names.Component(n, "master"), names.Component(n, "worker")},
		networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"): {
			names.Component(n, "master"), names.Component(n, "worker"), names.Component(n, "fuse"),
		},
	})
	if err != nil {
		return nil, err
	}
	authority, err := t.remove(ctx, t.SystemNamespace, map[schema.GroupVersionKind][]string{
		core.WithKind("Secret"): {names.AuthoritySecret(string(t.runtime.UID))},
	})
	if err != nil {
		return nil, err
	}
	if left = append(left, authority...); len(left) > 0 {
		return &Result{Waiting: left[0].String() + " is being deleted", RequeueAfter: stepInterval / 4}, nil
	}
	return nil, nil
}

// remove deletes managed objects and returns those that still exist. It reads only
// their metadata, not the values of Secrets.
func (t *teardown) remove(ctx context.Context, namespace string, kinds map[schema.GroupVersionKind][]string) ([]object, error) {
	var left []object
	for kind, all := range kinds {
		for _, name := range all {
			o := object{kind, namespace, name}
			exists, err := t.removeOne(ctx, o)
			if err != nil {
				return nil, fmt.Errorf("delete %s: %w", o, err)
			}
			if exists {
				left = append(left, o)
			}
		}
	}
	return left, nil
}

func (t *teardown) removeOne(ctx context.Context, o object) (bool, error) {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(o.kind)
	err := t.Live.Get(ctx, types.NamespacedName{Namespace: o.namespace, Name: o.name}, meta)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if meta.Labels[names.LabelManagedBy] != names.ManagedBy {
		return false, nil // a foreign object with the same name
	}
	if meta.DeletionTimestamp != nil {
		return true, nil
	}
	uid := meta.UID
	err = t.Client.Delete(ctx, meta, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	return true, client.IgnoreNotFound(err)
}

// recordEvent records a warning event for the runtime.
func (t *teardown) recordEvent(reason, format string, args ...any) {
	t.Recorder.Eventf(t.runtime, nil, corev1.EventTypeWarning, reason, "Delete", "%s", notes.Shorten(fmt.Sprintf(format, args...), notes.EventLimit))
}
