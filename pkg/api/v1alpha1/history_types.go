package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SpecRevision is a valid spec that a runtime has had.
type SpecRevision struct {
	// Generation of the runtime with this spec.
	Generation int64 `json:"generation"`

	// Time is when the controller read it first.
	Time metav1.Time `json:"time"`

	// Spec is the spec as it was declared.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Spec JindoRuntimeSpec `json:"spec"`
}
