package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// nothingLeft waits until no object, node label, directory or mount of any runtime
// of a namespace exists.
func (c *cluster) nothingLeft(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, "every object of "+namespace+" is deleted", func(ctx context.Context) error {
		return c.objectsLeft(ctx, namespace)
	})
	eventually(t, "the nodes are clean", func(ctx context.Context) error { return c.nodesLeft(ctx, namespace) })
}

func (c *cluster) objectsLeft(ctx context.Context, namespace string) error {
	lists := []client.ObjectList{
		&appsv1.StatefulSetList{}, &appsv1.DaemonSetList{}, &corev1.PodList{}, &corev1.ServiceList{},
		&corev1.ConfigMapList{}, &corev1.SecretList{}, &corev1.PersistentVolumeClaimList{}, &policyv1.PodDisruptionBudgetList{}, &networkingv1.NetworkPolicyList{},
	}
	managed := client.MatchingLabels{names.LabelManagedBy: names.ManagedBy}
	for _, list := range lists {
		if err := c.List(ctx, list, client.InNamespace(namespace), managed); err != nil {
			return err
		}
		if found := itemNames(list); len(found) > 0 {
			return fmt.Errorf("%T: %v", list, found)
		}
	}
	var volumes corev1.PersistentVolumeList
	if err := c.List(ctx, &volumes); err != nil {
		return err
	}
	for _, v := range volumes.Items {
		if v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == namespace {
			return fmt.Errorf("PersistentVolume %s is %s", v.Name, v.Status.Phase)
		}
	}
	var authorities corev1.SecretList
	if err := c.List(ctx, &authorities, client.InNamespace(names.SystemNamespace), client.MatchingLabels{names.LabelRuntimeNamespace: namespace}); err != nil {
		return err
	}
	if found := itemNames(&authorities); len(found) > 0 {
		return fmt.Errorf("secrets of the system namespace: %v", found)
	}
	return nil
}

func itemNames(list client.ObjectList) []string {
	var found []string
	// It fails only for objects that are not lists.
	_ = meta.EachListItem(list, func(item runtime.Object) error {
		object, err := meta.Accessor(item)
		if err == nil {
			found = append(found, object.GetName())
		}
		return err
	})
	return found
}

// nodesLeft returns an error if labels, mounts or directories are left on nodes.
func (c *cluster) nodesLeft(ctx context.Context, namespace string) error {
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes); err != nil {
		return err
	}
	for _, node := range nodes.Items {
		for label := range node.Labels {
			if strings.HasPrefix(label, "fluid.io/") && strings.Contains(label, "-"+namespace+"-") {
				return fmt.Errorf("node %s has label %s", node.Name, label)
			}
		}
		out, err := c.onNode(ctx, node.Name, "grep -h ' /host/.*jindo' /proc/self/mountinfo | grep -- '"+namespace+"'; ls -d /host/mnt/disk1/"+namespace+" 2>/dev/null; true")
		if err != nil {
			return err
		}
		if left := strings.TrimSpace(out); left != "" {
			return fmt.Errorf("node %s has\n%s", node.Name, left)
		}
	}
	return nil
}

// onNode runs a shell command in a pod that shares a node's processes and has its
// files below /host. The pods are reused.
func (c *cluster) onNode(ctx context.Context, node, command string) (string, error) {
	name := "e2e-shell-" + strings.ReplaceAll(node, ".", "-")
	pod := &corev1.Pod{}
	key := client.ObjectKey{Namespace: "kube-system", Name: name}
	if err := c.Get(ctx, key, pod); client.IgnoreNotFound(err) != nil {
		return "", err
	} else if err != nil {
		pod = &corev1.Pod{Spec: corev1.PodSpec{
			NodeName: node, HostPID: true, HostNetwork: true, TerminationGracePeriodSeconds: new(int64(1)),
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "shell", Image: toolImage, Command: []string{"sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"},
				SecurityContext: &corev1.SecurityContext{Privileged: new(true)},
				VolumeMounts:    []corev1.VolumeMount{{Name: "host", MountPath: "/host", MountPropagation: new(corev1.MountPropagationHostToContainer)}},
			}},
			Volumes: []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}},
		}}
		pod.Namespace, pod.Name = key.Namespace, key.Name
		if err := c.Create(ctx, pod); err != nil {
			return "", err
		}
	}
	if err := ready(pod); err != nil {
		return "", err
	}
	return c.run(ctx, "", "exec", "-n", key.Namespace, name, "--", "sh", "-c", command)
}
