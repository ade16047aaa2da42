//go:build linux

package node

import (
	"context"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
)

// Cluster is what the plugin needs of Kubernetes.
type Cluster interface {
	// LabelNode gives this node a label, or takes it away.
	LabelNode(ctx context.Context, key string, present bool) error
	// Leaving says that a pod of this node is being deleted, or known to be gone.
	Terminating(pod records.Pod) bool
	// Sidecar answers the handles of the volumes that a pod's own FUSE server
	// serves; none when it has no such server.
	Sidecar(ctx context.Context, pod records.Pod) ([]string, error)
	// Tell a pod's owner something, by an event on the pod.
	RecordEvent(pod records.Pod, reason, message string)
}
