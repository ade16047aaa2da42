package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ComponentFallback is the pod template with which the pods of a component became ready
// last. The component returns to it if a pod with a newer template does not become ready. It
// is removed once every pod has.
type ComponentFallback struct {
	// Role is master, worker or fuse.
	Role string `json:"role"`

	// Instance is the last pod whose replacement by one with the newer template was
	// observed; empty until the first one is ready. It is the name of the pod of a master
	// or worker, or the name of the node of a FUSE server.
	// +optional
	Instance string `json:"instance,omitempty"`

	// Since is when a pod with the newer template was observed that is not ready, or was
	// found to be missing; absent before, and after it has become ready.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// Template is the pod template, as the controller rendered it.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Template corev1.PodTemplateSpec `json:"template"`
}

// RevertedUpdate is an update of pods that was ended, because a pod of a component with the
// new template did not become ready. The components of status.fallbacks run with
// their previous templates until the template of that component changes, or until
// [RetryAnnotation] does.
type RevertedUpdate struct {
	// Revision is the revision of the effective spec whose template failed.
	Revision int64 `json:"revision"`

	// Role of the pod: master, worker or fuse.
	Role string `json:"role"`

	// Instance is the name of the pod of a master or worker, or the name of the node of
	// a FUSE server.
	Instance string `json:"instance"`

	// Message is the cause, with the name of the container.
	Message string `json:"message"`

	// Template is the digest of the pod template that failed.
	Template string `json:"template"`

	// Retry is a digest of RetryAnnotation at the time; empty without one.
	// +optional
	Retry string `json:"retry,omitempty"`

	// Time is when the update was ended.
	Time metav1.Time `json:"time"`
}
