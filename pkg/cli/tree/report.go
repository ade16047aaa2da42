package tree

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/kube/health"
)

// Kind of the report.
const Kind = "TreeReport"

// Report is a Dataset with everything that belongs to it.
//
// +kubebuilder:object:root=true
type Report struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Root is the Dataset.
	Root Node `json:"root"`
	// Failures are sentences about what could not be read, and is missing
	// therefore.
	Failures []string `json:"failures"`
}

// Node is one object.
//
// +kubebuilder:object:generate=true
type Node struct {
	// Kind of the object.
	Kind string `json:"kind"`
	// Namespace of the object; empty for one that has none.
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
	// Health is Ready, Pending or Failed.
	Health health.Level `json:"health"`
	// State in a word or figure: Bound, Running, 2/3.
	State string `json:"state,omitempty"`
	// Node that a pod is on.
	Node string `json:"node,omitempty"`
	// Reason why it is not ready, or what else is worth saying.
	Reason string `json:"reason,omitempty"`
	// Created is when.
	Created *metav1.Time `json:"created,omitempty"`
	// Children are what belongs to it.
	Children []Node `json:"children,omitempty"`
}
