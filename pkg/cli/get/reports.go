package get

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// Kinds of the reports.
const (
	MountKind      = "MountReport"
	MountListKind  = "MountReportList"
	WorkerKind     = "WorkerReport"
	WorkerListKind = "WorkerReportList"
)

// MountReport is a pod that mounts a Dataset.
//
// +kubebuilder:object:root=true
type MountReport struct {
	metav1.TypeMeta `json:",inline"`
	// ObjectMeta is the pod's name and namespace.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Dataset that the pod mounts, in the namespace of the pod.
	Dataset string `json:"dataset"`
	// Type is sidecar for a FUSE server in the pod, or csi for that of the node.
	Type string `json:"type"`
	// Node of the pod; empty while it is not scheduled.
	Node string `json:"node,omitempty"`
	// State of the pod: Running, Pending, CrashLoopBackOff.
	State string `json:"state"`
	// Ready is true when all containers are ready.
	Ready bool `json:"ready"`
	// Paths of the Dataset in the containers.
	Paths []string `json:"paths"`
	// ReadOnly is true when the pod requests a read-only volume.
	ReadOnly bool `json:"readOnly"`
	// Reason why the pod is not ready.
	Reason string `json:"reason,omitempty"`
}

// MountReportList is a list of MountReports.
//
// +kubebuilder:object:root=true
type MountReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items in the order in which they are printed.
	Items []MountReport `json:"items"`
}

// WorkerReport is the pod of a worker.
//
// +kubebuilder:object:root=true
type WorkerReport struct {
	metav1.TypeMeta `json:",inline"`
	// ObjectMeta is the pod's name and namespace.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Runtime that the worker belongs to.
	Runtime string `json:"runtime"`
	// Dataset that the runtime serves; empty for none.
	Dataset string `json:"dataset,omitempty"`
	// Node of the pod; empty while it is not scheduled.
	Node string `json:"node,omitempty"`
	// State of the pod: Running, Pending, CrashLoopBackOff.
	State string `json:"state"`
	// Ready is true when all containers are ready.
	Ready bool `json:"ready"`
	// Restarts of the containers.
	Restarts int `json:"restarts"`
	// Reason why the pod is not ready.
	Reason string `json:"reason,omitempty"`
	// Cache as the worker reports it; absent when the worker did not respond.
	Cache *WorkerCache `json:"cache,omitempty"`
}

// WorkerCache holds the figures of a worker, in bytes.
//
// +kubebuilder:object:generate=true
type WorkerCache struct {
	// Used by cached files.
	Used uint64 `json:"used"`
	// Capacity of all tiers.
	Capacity uint64 `json:"capacity"`
	// Tiers, the fastest first.
	Tiers []report.Tier `json:"tiers"`
	// HitBytes were read from the cache.
	HitBytes uint64 `json:"hitBytes"`
	// MissBytes were read from the store.
	MissBytes uint64 `json:"missBytes"`
}

// WorkerReportList is a list of WorkerReports.
//
// +kubebuilder:object:root=true
type WorkerReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items in the order in which they are printed.
	Items []WorkerReport `json:"items"`
}

// toList returns a list of the items for a machine-readable format: a list of
// reports when all items are reports of one type, or else the List of kubectl.
func toList(found *listing) (runtime.Object, error) {
	switch found.list.(type) {
	case *MountReportList:
		l := &MountReportList{TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: MountListKind}, Items: []MountReport{}}
		for _, i := range found.items {
			if r, ok := i.object.(*MountReport); ok {
				l.Items = append(l.Items, *r)
			}
		}
		return l, nil
	case *WorkerReportList:
		l := &WorkerReportList{TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: WorkerListKind}, Items: []WorkerReport{}}
		for _, i := range found.items {
			if r, ok := i.object.(*WorkerReport); ok {
				l.Items = append(l.Items, *r)
			}
		}
		return l, nil
	}
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": ""}}}
	for _, i := range found.items {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(i.object)
		if err != nil {
			return nil, fmt.Errorf("convert %s: %w", i.resource, err)
		}
		list.Items = append(list.Items, unstructured.Unstructured{Object: fields})
	}
	return list, nil
}
