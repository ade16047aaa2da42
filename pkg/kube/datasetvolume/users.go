package datasetvolume

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/health"
)

// Users returns the names of the pods that mount a claim, sorted: pods with a node
// that have not completed. Unscheduled pods do not count; Kubernetes' protection of
// claims ignores them, too.
func Users(ctx context.Context, live client.Reader, namespace, name string) ([]string, error) {
	pods := &corev1.PodList{}
	if err := live.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list pods that mount PersistentVolumeClaim %s/%s: %w", namespace, name, err)
	}
	var users []string
	for i := range pods.Items {
		if pod := &pods.Items[i]; mounts(pod, name) {
			users = append(users, pod.Name)
		}
	}
	slices.Sort(users)
	return users, nil
}

func mounts(pod *corev1.Pod, name string) bool {
	if pod.Spec.NodeName == "" || health.PodDone(pod) {
		return false
	}
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == name
	})
}
