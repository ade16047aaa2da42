//go:build linux

package node

import (
	"context"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
)

// Cluster is the part of the Kubernetes API that the plugin uses.
type Cluster interface {
	// LabelNode sets a label of this node to "true", or removes it.
	LabelNode(ctx context.Context, key string, present bool) error
	// Terminating reports whether a pod of this node is being deleted or is known
	// not to exist.
	Terminating(pod records.Pod) bool
	// Sidecar returns the handles of the volumes that the FUSE sidecar of a pod
	// serves, or none if the pod has no sidecar.
	Sidecar(ctx context.Context, pod records.Pod) ([]string, error)
	// CheckOwned returns an error unless a pod is one of a runtime's workers or FUSE
	// servers, by role.
	CheckOwned(ctx context.Context, pod records.Pod, runtime records.Runtime, role string) error
	// RecordEvent records a warning event for a pod.
	RecordEvent(pod records.Pod, reason, message string)
}
