package get

import (
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

	// Dataset that it mounts, of its own namespace.
	Dataset string `json:"dataset"`
	// Type is sidecar, where the pod brings a FUSE server of its own, or csi.
	Type string `json:"type"`
	// Node that the pod is on; empty while it is on none.
	Node string `json:"node,omitempty"`
	// State of the pod in a word.
	State string `json:"state"`
	// Ready: all its containers are.
	Ready bool `json:"ready"`
	// Paths at which its containers see the Dataset.
	Paths []string `json:"paths"`
	// ReadOnly says whether the pod asks for no more than reading.
	ReadOnly bool `json:"readOnly"`
	// Reason why it is not ready.
	Reason string `json:"reason,omitempty"`
}

// MountReportList is several.
//
// +kubebuilder:object:root=true
type MountReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items in the order in which they are shown.
	Items []MountReport `json:"items"`
}

// WorkerReport is a pod that caches.
//
// +kubebuilder:object:root=true
type WorkerReport struct {
	metav1.TypeMeta `json:",inline"`
	// ObjectMeta is the pod's name and namespace.
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Runtime that it belongs to.
	Runtime string `json:"runtime"`
	// Dataset that the runtime serves, if it does.
	Dataset string `json:"dataset,omitempty"`
	// Node that the pod is on; empty while it is on none.
	Node string `json:"node,omitempty"`
	// State of the pod in a word.
	State string `json:"state"`
	// Ready: all its containers are.
	Ready bool `json:"ready"`
	// Restarts of its containers.
	Restarts int `json:"restarts"`
	// Reason why it is not ready.
	Reason string `json:"reason,omitempty"`
	// Cache as the worker says itself; absent when it did not answer.
	Cache *WorkerCache `json:"cache,omitempty"`
}

// WorkerCache is what a worker caches, in bytes.
//
// +kubebuilder:object:generate=true
type WorkerCache struct {
	// Used of Capacity by what is cached.
	Used uint64 `json:"used"`
	// Capacity of all tiers.
	Capacity uint64 `json:"capacity"`
	// Tiers, the fastest first.
	Tiers []report.Tier `json:"tiers"`
	// HitBytes were asked for and there.
	HitBytes uint64 `json:"hitBytes"`
	// MissBytes were asked for and not there.
	MissBytes uint64 `json:"missBytes"`
}

// WorkerReportList is several.
//
// +kubebuilder:object:root=true
type WorkerReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items in the order in which they are shown.
	Items []WorkerReport `json:"items"`
}

// withItems is the list for machines: of reports where there are reports, else
// kubectl's List.
func withItems(found *listing) runtime.Object {
	switch found.list.(type) {
	case *MountReportList:
		l := &MountReportList{TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: MountListKind}, Items: []MountReport{}}
		for _, i := range found.items {
			if r, ok := i.object.(*MountReport); ok {
				l.Items = append(l.Items, *r)
			}
		}
		return l
	case *WorkerReportList:
		l := &WorkerReportList{TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: WorkerListKind}, Items: []WorkerReport{}}
		for _, i := range found.items {
			if r, ok := i.object.(*WorkerReport); ok {
				l.Items = append(l.Items, *r)
			}
		}
		return l
	}
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": ""}}}
	for _, i := range found.items {
		if u, ok := i.object.(*unstructured.Unstructured); ok {
			list.Items = append(list.Items, *u)
		}
	}
	return list
}
