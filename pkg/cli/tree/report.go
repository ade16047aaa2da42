package tree

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/kube/health"
)

// Kinds of the reports.
const (
	Kind     = "TreeReport"
	ListKind = "TreeReportList"
)

// Report is a Dataset with everything that belongs to it.
//
// +kubebuilder:object:root=true
type Report struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Root is the Dataset.
	Root Node `json:"root"`
	// Failures are sentences about what could not be read and is missing in the
	// tree.
	Failures []string `json:"failures"`
}

// Node is one object.
//
// +kubebuilder:object:generate=true
type Node struct {
	// Kind of the object.
	Kind string `json:"kind"`
	// Namespace of the object; empty for a cluster-scoped object.
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
	// Health is Ready, Pending or Failed.
	Health health.Level `json:"health"`
	// State of the object: Bound, Running, 2/3.
	State string `json:"state,omitempty"`
	// Node of a pod.
	Node string `json:"node,omitempty"`
	// Reason why the object is not ready, or a remark.
	Reason string `json:"reason,omitempty"`
	// Created is the creation time.
	Created *metav1.Time `json:"created,omitempty"`
	// Children are the objects that belong to this one.
	Children []Node `json:"children,omitempty"`
}

// ReportList is a list of trees.
//
// +kubebuilder:object:root=true
type ReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items are the trees, by namespace and name.
	Items []Report `json:"items"`
}
