package cluster

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// ErrNotOwned means that a pod is not one of a runtime's own pods.
var ErrNotOwned = errors.New("the pod is not one of the runtime's own")

// CheckOwned returns an error that wraps [ErrNotOwned] unless a pod is one of a
// runtime's workers or FUSE servers, by role. The pod's controller must be the
// runtime's workload of that role, and the workload's controller the runtime, each
// with the uid of the live object: a name or label that anybody can choose proves
// nothing. Users can write owner references too; a ValidatingAdmissionPolicy
// therefore reserves such pods to the controllers of Kubernetes.
func (c *Cluster) CheckOwned(ctx context.Context, pod records.Pod, runtime records.Runtime, role string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	workload, err := c.workload(ctx, runtime, role)
	if err != nil {
		return err
	}
	found, err := c.pod(ctx, pod)
	if err != nil {
		return err
	}
	if ref := metav1.GetControllerOf(found); ref == nil || ref.UID != workload.GetUID() {
		return fmt.Errorf("pod %s/%s is not controlled by %s: %w", pod.Namespace, pod.Name, workload.GetName(), ErrNotOwned)
	}
	resource := schema.GroupVersionResource{Group: "data.fluid.io", Version: "v1alpha1", Resource: "jindoruntimes"}
	owner, err := c.metadata.Resource(resource).Namespace(runtime.Namespace).Get(ctx, runtime.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get JindoRuntime %s: %w", runtime, err)
	}
	if ref := metav1.GetControllerOf(workload); ref == nil || ref.UID != owner.UID {
		return fmt.Errorf("%s is not controlled by JindoRuntime %s: %w", workload.GetName(), runtime, ErrNotOwned)
	}
	return nil
}

// workload returns the live workload of a runtime's role.
func (c *Cluster) workload(ctx context.Context, runtime records.Runtime, role string) (metav1.Object, error) {
	name := names.Component(runtime.Name, role)
	var workload metav1.Object
	var err error
	switch role {
	case names.RoleWorker:
		workload, err = c.client.AppsV1().StatefulSets(runtime.Namespace).Get(ctx, name, metav1.GetOptions{})
	case names.RoleFuse:
		workload, err = c.client.AppsV1().DaemonSets(runtime.Namespace).Get(ctx, name, metav1.GetOptions{})
	default:
		return nil, fmt.Errorf("role %q has no pods: %w", role, ErrNotOwned)
	}
	if err != nil {
		return nil, fmt.Errorf("get the workload of JindoRuntime %s, role %s: %w", runtime, role, err)
	}
	return workload, nil
}

// pod returns a pod from the cache or, if it is not there, from the API server. The
// uid must match.
func (c *Cluster) pod(ctx context.Context, pod records.Pod) (*corev1.Pod, error) {
	key := pod.Namespace + "/" + pod.Name
	if object, exists, err := c.pods.GetStore().GetByKey(key); err == nil && exists {
		if found, ok := object.(*corev1.Pod); ok && string(found.UID) == pod.UID {
			return found, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, podLookupTimeout)
	defer cancel()
	found, err := c.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get pod %s: %w", key, err)
	}
	if string(found.UID) != pod.UID {
		return nil, fmt.Errorf("pod %s with uid %s not found: another pod has the same name", key, pod.UID)
	}
	return found, nil
}
