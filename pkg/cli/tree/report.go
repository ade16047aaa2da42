package tree

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind of the report.
const Kind = "TreeReport"

// Report is a Dataset with everything that belongs to it.
type Report struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Root is the Dataset.
	Root Node `json:"root"`
	// Failures are sentences about what could not be read, and is missing
	// therefore.
	Failures []string `json:"failures"`
}

// Health of a node in the tree.
type Health string

// Healths.
const (
	// Ready: it is as it should be.
	Ready Health = "Ready"
	// Pending: it is not yet, or has ended.
	Pending Health = "Pending"
	// Failed: it will not be without somebody's help.
	Failed Health = "Failed"
)

// Node is one object.
type Node struct {
	// Kind of the object.
	Kind string `json:"kind"`
	// Namespace of the object; empty for one that has none.
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
	// Health in a word.
	Health Health `json:"health"`
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

// DeepCopyObject implements runtime.Object; what a report points to is never
// changed.
func (r *Report) DeepCopyObject() runtime.Object {
	c := *r
	return &c
}

// GetObjectKind implements runtime.Object.
func (r *Report) GetObjectKind() schema.ObjectKind { return &r.TypeMeta }
