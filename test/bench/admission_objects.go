package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// memoryReader is a cache of one Dataset, its JindoRuntime and its claim. Like the
// real cache it returns copies.
type memoryReader struct {
	dataset v1alpha1.Dataset
	runtime v1alpha1.JindoRuntime
	claim   corev1.PersistentVolumeClaim
}

func newMemoryReader() *memoryReader {
	meta := metav1.ObjectMeta{Namespace: "vision", Name: "imagenet", Labels: map[string]string{names.LabelManagedBy: names.ManagedBy}}
	r := &memoryReader{
		dataset: v1alpha1.Dataset{ObjectMeta: meta}, runtime: v1alpha1.JindoRuntime{ObjectMeta: meta}, claim: corev1.PersistentVolumeClaim{ObjectMeta: meta},
	}
	r.dataset.Status.Phase = v1alpha1.BoundDatasetPhase
	r.dataset.Status.Conditions = []v1alpha1.DatasetCondition{{Type: v1alpha1.DatasetReady, Status: corev1.ConditionTrue}}
	return r
}

// Get implements client.Reader.
func (r *memoryReader) Get(_ context.Context, at client.ObjectKey, into client.Object) error {
	switch into := into.(type) {
	case *v1alpha1.Dataset:
		r.dataset.DeepCopyInto(into)
	case *v1alpha1.JindoRuntime:
		r.runtime.DeepCopyInto(into)
	case *corev1.PersistentVolumeClaim:
		r.claim.DeepCopyInto(into)
	default:
		return apierrors.NewNotFound(schema.GroupResource{}, at.Name)
	}
	return nil
}

// List implements client.Reader.
func (r *memoryReader) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if runtimes, ok := list.(*v1alpha1.JindoRuntimeList); ok {
		runtimes.Items = append(runtimes.Items, *r.runtime.DeepCopy())
	}
	return nil
}

// sidecar returns the container that the peer adds, as the function under test
// builds it.
type sidecarOf struct {
	container   corev1.Container
	volume      corev1.Volume
	annotations map[string]string
}

// plannedSidecar returns the sidecar of a small pod, planned once.
func plannedSidecar() (*sidecarOf, error) {
	pod := []byte(`{"metadata":{"labels":{"` + names.LabelInject + `":"true"}},"spec":{"containers":[{"name":"c","volumeMounts":[{"name":"data","mountPath":"/data"}]}],"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"imagenet"}}]}}`)
	result, err := inject.Plan(inject.Request{
		Pod: pod, Namespace: "vision", Image: admissionImage,
		Datasets: map[string]*inject.Dataset{"imagenet": {Name: "imagenet", Ready: true, Runtime: &v1alpha1.JindoRuntime{}}},
	})
	if err != nil {
		return nil, err
	}
	out, err := inject.Apply(pod, result.Operations)
	if err != nil {
		return nil, err
	}
	var injected corev1.Pod
	if err := json.Unmarshal(out, &injected); err != nil {
		return nil, fmt.Errorf("read the planned pod: %w", err)
	}
	if len(injected.Spec.InitContainers) != 1 || len(injected.Spec.Volumes) != 2 {
		return nil, errors.New("the planned pod has no sidecar")
	}
	return &sidecarOf{injected.Spec.InitContainers[0], injected.Spec.Volumes[1], injected.Annotations}, nil
}
