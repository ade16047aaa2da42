// Package scopes assigns the names that runtimes and Datasets have among those of all
// namespaces. See [names.Scope].
//
// A scope is decided once, before anything is derived from it, and recorded in the
// status, which users of a namespace cannot write. It never changes while the object
// exists. An object keeps the name that Fluid's users rely on unless another object has
// it: recorded in its status, or, for objects of earlier versions without a record, by
// the volumes that exist, and otherwise by age.
//
// Decisions exclude each other only if the caller makes and records one at a time. One
// controller of a kind is active at a time.
package scopes

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// attempts is the number of scopes with a digest that are tried.
const attempts = 8

// Of returns the scope of a runtime.
func Of(runtime *v1alpha1.JindoRuntime) names.Scope {
	return names.ScopeOf(runtime.Namespace, runtime.Name, runtime.Status.ScopeName)
}

// OfVolume returns the scope of the volume of a Dataset.
func OfVolume(dataset *v1alpha1.Dataset) names.Scope {
	return names.ScopeOf(dataset.Namespace, dataset.Name, dataset.Status.VolumeName)
}

// candidates returns the possible scopes of an object in the order of preference.
func candidates(namespace, name string) []names.Scope {
	expected := names.ScopeOf(namespace, name, "")
	all := []names.Scope{expected}
	for attempt := range attempts {
		all = append(all, expected.Distinct(attempt))
	}
	return all
}

// precedes reports whether the object a has the right to a name that b would have, too,
// when neither has a record: it is older, or of the same age and first by its name.
func precedes(a, b metav1.Object) bool {
	if at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp(); !at.Equal(&bt) {
		return at.Before(&bt)
	}
	return a.GetNamespace()+"/"+a.GetName() < b.GetNamespace()+"/"+b.GetName()
}

// Runtime decides the scope of a runtime without a record. live must read from the API
// server.
func Runtime(ctx context.Context, live client.Reader, runtime *v1alpha1.JindoRuntime) (names.Scope, error) {
	d := &decision{live: live, object: runtime}
	if err := d.readRuntimes(ctx); err != nil {
		return names.Scope{}, err
	}
	for _, read := range []func(context.Context, *v1alpha1.JindoRuntime) error{d.readOthers, d.readWorkloads} {
		if err := read(ctx, runtime); err != nil {
			return names.Scope{}, err
		}
	}
	return d.decide(ctx, d.masterVolumes)
}

// Dataset decides the scope of the volume of a Dataset without a record. live must read
// from the API server.
func Dataset(ctx context.Context, live client.Reader, dataset *v1alpha1.Dataset) (names.Scope, error) {
	d := &decision{live: live, object: dataset}
	list := &v1alpha1.DatasetList{}
	if err := live.List(ctx, list); err != nil {
		return names.Scope{}, fmt.Errorf("list Datasets: %w", err)
	}
	for i := range list.Items {
		d.add(&list.Items[i], OfVolume(&list.Items[i]), list.Items[i].Status.VolumeName != "")
	}
	return d.decide(ctx, d.datasetVolume)
}

// decision is the choice of one scope.
type decision struct {
	live   client.Reader
	object client.Object
	// recorded are the scopes of other objects, and older those of older objects
	// without a record.
	recorded, older []names.Scope
	// ids are the labels of the objects that the runtime has.
	ids map[string]bool
}

func (d *decision) add(other client.Object, scope names.Scope, recorded bool) {
	switch {
	case other.GetUID() == d.object.GetUID():
	case recorded:
		d.recorded = append(d.recorded, scope)
	case precedes(other, d.object):
		d.older = append(d.older, scope)
	}
}

func (d *decision) readRuntimes(ctx context.Context) error {
	list := &v1alpha1.JindoRuntimeList{}
	if err := d.live.List(ctx, list); err != nil {
		return fmt.Errorf("list JindoRuntimes: %w", err)
	}
	for i := range list.Items {
		d.add(&list.Items[i], Of(&list.Items[i]), list.Items[i].Status.ScopeName != "")
	}
	return nil
}

// readOthers reads the Datasets that other kinds of runtimes serve: those runtimes have
// the Dataset's name and use the same labels.
func (d *decision) readOthers(ctx context.Context, runtime *v1alpha1.JindoRuntime) error {
	list := &v1alpha1.DatasetList{}
	if err := d.live.List(ctx, list); err != nil {
		return fmt.Errorf("list Datasets: %w", err)
	}
	for i := range list.Items {
		dataset := &list.Items[i]
		if dataset.Namespace == runtime.Namespace && dataset.Name == runtime.Name {
			continue
		}
		for _, r := range dataset.Status.Runtimes {
			if r.Type != "" && r.Type != v1alpha1.JindoRuntimeType {
				d.recorded = append(d.recorded, names.ScopeOf(dataset.Namespace, dataset.Name, ""))
			}
		}
	}
	return nil
}

// readWorkloads reads the labels of the runtime's workloads, which an earlier version has
// created or which have outlived the status.
func (d *decision) readWorkloads(ctx context.Context, runtime *v1alpha1.JindoRuntime) error {
	d.ids = map[string]bool{}
	for role, kind := range map[string]string{"master": "StatefulSet", "worker": "StatefulSet", "fuse": "DaemonSet"} {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind))
		key := client.ObjectKey{Namespace: runtime.Namespace, Name: names.Component(runtime.Name, role)}
		err := d.live.Get(ctx, key, object)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("get %s %s: %w", kind, key, err)
		}
		if err == nil && metav1.IsControlledBy(object, runtime) {
			d.ids[object.Labels[names.LabelDatasetID]] = true
		}
	}
	return nil
}

// volumes reports whether volumes of a scope are the object's own, and whether they are
// those of another one.
type volumes func(ctx context.Context, scope names.Scope) (own, other bool, err error)

// decide returns the scope that the object has already, and otherwise the first one that
// is free.
func (d *decision) decide(ctx context.Context, find volumes) (names.Scope, error) {
	var free []names.Scope
	expected := names.ScopeOf(d.object.GetNamespace(), d.object.GetName(), "").Name
	for _, scope := range candidates(d.object.GetNamespace(), d.object.GetName()) {
		own, other, err := find(ctx, scope)
		if err != nil {
			return names.Scope{}, err
		}
		if other || overlaps(d.recorded, scope) {
			continue
		}
		if own || d.ids[scope.DatasetID()] && !overlaps(d.older, scope) {
			return scope, nil
		}
		if !overlaps(d.older, scope) {
			free = append(free, scope)
		}
		if len(free) > 0 && scope.Name != expected {
			break // an object has the first one with a digest, or none
		}
	}
	if len(free) == 0 {
		return names.Scope{}, fmt.Errorf("no name of %s/%s is free among those of all namespaces: give it another name",
			d.object.GetNamespace(), d.object.GetName())
	}
	return free[0], nil
}

func overlaps(all []names.Scope, scope names.Scope) bool {
	for _, other := range all {
		if scope.Overlaps(other) {
			return true
		}
	}
	return false
}

func (d *decision) masterVolumes(ctx context.Context, scope names.Scope) (own, other bool, err error) {
	for i := range v1alpha1.MaxMasters {
		volume := &corev1.PersistentVolume{}
		found, err := d.get(ctx, scope.MasterVolume(i), volume)
		if err != nil {
			return false, false, err
		}
		labels := volume.Labels
		switch {
		case !found:
		case labels[names.LabelRuntimeUID] == string(d.object.GetUID()):
			own = true
		case labels[names.LabelRuntimeNamespace] == d.object.GetNamespace() && labels[names.LabelRuntimeName] == d.object.GetName():
			// It is of an earlier runtime of this name, and is being removed.
		default:
			other = true
		}
	}
	return own, other, nil
}

// datasetVolume considers a volume without a claim as neither: a person has created it,
// and is told so.
func (d *decision) datasetVolume(ctx context.Context, scope names.Scope) (own, other bool, err error) {
	volume := &corev1.PersistentVolume{}
	found, err := d.get(ctx, scope.Volume(), volume)
	if err != nil {
		return false, false, err
	}
	if ref := volume.Spec.ClaimRef; found && ref != nil {
		own = ref.Namespace == d.object.GetNamespace() && ref.Name == d.object.GetName()
		return own, !own, nil
	}
	return false, scope.NamedAsMasterVolume(), nil
}

func (d *decision) get(ctx context.Context, name string, volume *corev1.PersistentVolume) (bool, error) {
	err := d.live.Get(ctx, client.ObjectKey{Name: name}, volume)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get PersistentVolume %s: %w", name, err)
	}
	return true, nil
}
