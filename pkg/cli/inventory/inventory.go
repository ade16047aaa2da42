// Package inventory lists the objects of a namespace that belong to Datasets, in a
// fixed number of parallel requests. A part that cannot be listed is reported as a
// failure and does not affect the others. Of Secrets and ConfigMaps only the
// metadata is requested.
package inventory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Inventory holds the objects of one namespace or of all namespaces.
type Inventory struct {
	Datasets     []v1alpha1.Dataset
	Runtimes     []v1alpha1.JindoRuntime
	Pods         []corev1.Pod
	Claims       []corev1.PersistentVolumeClaim
	Volumes      []corev1.PersistentVolume
	StatefulSets []appsv1.StatefulSet
	DaemonSets   []appsv1.DaemonSet
	Services     []corev1.Service
	Budgets      []policyv1.PodDisruptionBudget
	Secrets      []metav1.PartialObjectMetadata
	ConfigMaps   []metav1.PartialObjectMetadata
	// Failures are sentences about what could not be read.
	Failures []string
}

// Part is a kind of object to list.
type Part string

// The parts of an inventory.
const (
	Datasets     Part = "Datasets"
	Runtimes     Part = "JindoRuntimes"
	Pods         Part = "Pods"
	Claims       Part = "PersistentVolumeClaims"
	Volumes      Part = "PersistentVolumes"
	StatefulSets Part = "StatefulSets"
	DaemonSets   Part = "DaemonSets"
	Services     Part = "Services"
	Budgets      Part = "PodDisruptionBudgets"
	Secrets      Part = "Secrets"
	ConfigMaps   Part = "ConfigMaps"
)

// Everything returns all parts.
func Everything() []Part {
	return []Part{Datasets, Runtimes, Pods, Claims, Volumes, StatefulSets, DaemonSets, Services, Budgets, Secrets, ConfigMaps}
}

// Read lists the parts of a namespace, or of all namespaces for "", with one request
// for each part. The objects are sorted by namespace and name.
func Read(ctx context.Context, s *session.Session, c *session.Cluster, namespace string, parts ...Part) *Inventory {
	in := &Inventory{}
	var reading sync.WaitGroup
	failed := make([]string, len(parts))
	for i, part := range parts {
		reading.Go(func() {
			if err := in.read(ctx, c, namespace, part); err != nil {
				act := fmt.Sprintf("listing %s", part)
				if namespace != "" && part != Volumes {
					act += " in namespace " + namespace
				}
				failed[i] = apierror.Explain(s, c, act, err).Error()
			}
		})
	}
	reading.Wait()
	for _, sentence := range failed {
		if sentence != "" {
			in.Failures = append(in.Failures, sentence)
		}
	}
	return in
}

func (in *Inventory) read(ctx context.Context, c *session.Cluster, namespace string, part Part) error {
	where := client.InNamespace(namespace)
	ours := client.MatchingLabels{names.LabelManagedBy: names.ManagedBy}
	switch part {
	case Datasets:
		return list(ctx, c, &v1alpha1.DatasetList{}, func(l *v1alpha1.DatasetList) { in.Datasets = ordered(l.Items) }, where)
	case Runtimes:
		return list(ctx, c, &v1alpha1.JindoRuntimeList{}, func(l *v1alpha1.JindoRuntimeList) { in.Runtimes = ordered(l.Items) }, where)
	case Pods:
		return list(ctx, c, &corev1.PodList{}, func(l *corev1.PodList) { in.Pods = ordered(l.Items) }, where)
	case Claims:
		return list(ctx, c, &corev1.PersistentVolumeClaimList{}, func(l *corev1.PersistentVolumeClaimList) { in.Claims = ordered(l.Items) }, where)
	case Volumes:
		return list(ctx, c, &corev1.PersistentVolumeList{}, func(l *corev1.PersistentVolumeList) { in.Volumes = ordered(l.Items) }, ours)
	case StatefulSets:
		return list(ctx, c, &appsv1.StatefulSetList{}, func(l *appsv1.StatefulSetList) { in.StatefulSets = ordered(l.Items) }, where, ours)
	case DaemonSets:
		return list(ctx, c, &appsv1.DaemonSetList{}, func(l *appsv1.DaemonSetList) { in.DaemonSets = ordered(l.Items) }, where, ours)
	case Services:
		return list(ctx, c, &corev1.ServiceList{}, func(l *corev1.ServiceList) { in.Services = ordered(l.Items) }, where, ours)
	case Budgets:
		return list(ctx, c, &policyv1.PodDisruptionBudgetList{}, func(l *policyv1.PodDisruptionBudgetList) { in.Budgets = ordered(l.Items) }, where, ours)
	case Secrets:
		return list(ctx, c, onlyNames("SecretList"), func(l *metav1.PartialObjectMetadataList) { in.Secrets = ordered(l.Items) }, where, ours)
	case ConfigMaps:
		return list(ctx, c, onlyNames("ConfigMapList"), func(l *metav1.PartialObjectMetadataList) { in.ConfigMaps = ordered(l.Items) }, where, ours)
	}
	return fmt.Errorf("unknown part %q", part)
}

func onlyNames(kind string) *metav1.PartialObjectMetadataList {
	l := &metav1.PartialObjectMetadataList{}
	l.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind})
	return l
}

func list[L client.ObjectList](ctx context.Context, c *session.Cluster, into L, keep func(L), options ...client.ListOption) error {
	if err := c.List(ctx, into, options...); err != nil {
		return err
	}
	keep(into)
	return nil
}

// ordered sorts items by namespace and name.
func ordered[T any, P interface {
	*T
	metav1.Object
}](items []T) []T {
	slices.SortFunc(items, func(a, b T) int {
		return cmp.Or(cmp.Compare(P(&a).GetNamespace(), P(&b).GetNamespace()), cmp.Compare(P(&a).GetName(), P(&b).GetName()))
	})
	return items
}

// Dataset returns the Dataset of that name, or nil.
func (in *Inventory) Dataset(namespace, name string) *v1alpha1.Dataset {
	for i := range in.Datasets {
		if d := &in.Datasets[i]; d.Namespace == namespace && d.Name == name {
			return d
		}
	}
	return nil
}

// Runtime returns the JindoRuntime of that name, or nil.
func (in *Inventory) Runtime(namespace, name string) *v1alpha1.JindoRuntime {
	for i := range in.Runtimes {
		if r := &in.Runtimes[i]; r.Namespace == namespace && r.Name == name {
			return r
		}
	}
	return nil
}

// DatasetOf returns the name of the Dataset that a runtime is meant for: that of its
// annotation, or else its own name.
func DatasetOf(runtime *v1alpha1.JindoRuntime) string {
	if name := runtime.Annotations[v1alpha1.DatasetAnnotation]; name != "" {
		return name
	}
	return runtime.Name
}

// RuntimeFor returns the runtime that serves a Dataset: the one in its status, or
// else one that is meant for it, or nil.
func (in *Inventory) RuntimeFor(dataset *v1alpha1.Dataset) *v1alpha1.JindoRuntime {
	for _, ref := range dataset.Status.Runtimes {
		if r := in.Runtime(cmp.Or(ref.Namespace, dataset.Namespace), ref.Name); r != nil {
			return r
		}
	}
	for i := range in.Runtimes {
		if r := &in.Runtimes[i]; r.Namespace == dataset.Namespace && DatasetOf(r) == dataset.Name {
			return r
		}
	}
	return nil
}
