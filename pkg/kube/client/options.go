package client

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// ListOptions select objects of a kind.
type ListOptions struct {
	// Namespace of the objects; all if empty.
	Namespace string
	// Labels that the objects have; any if nil.
	Labels labels.Selector
}

// ListOption changes ListOptions.
type ListOption interface{ applyTo(o *ListOptions) }

// NewListOptions returns what the options select together.
func NewListOptions(options ...ListOption) ListOptions {
	var o ListOptions
	for _, option := range options {
		option.applyTo(&o)
	}
	return o
}

func (o ListOptions) parameters() *metav1.ListOptions {
	parameters := &metav1.ListOptions{}
	if o.Labels != nil {
		parameters.LabelSelector = o.Labels.String()
	}
	return parameters
}

// InNamespace selects the objects of a namespace; "" selects all.
type InNamespace string

func (n InNamespace) applyTo(o *ListOptions) { o.Namespace = string(n) }

// MatchingLabels selects the objects that have all of the labels.
type MatchingLabels map[string]string

func (m MatchingLabels) applyTo(o *ListOptions) { o.Labels = labels.SelectorFromSet(labels.Set(m)) }

// MatchingLabelsSelector selects the objects whose labels match.
type MatchingLabelsSelector struct{ labels.Selector }

func (m MatchingLabelsSelector) applyTo(o *ListOptions) { o.Labels = m.Selector }

type writeOptions struct {
	manager     string
	dryRun      []string
	force       bool
	uid         *types.UID
	propagation *metav1.DeletionPropagation
}

// WriteOption changes how an object is written.
type WriteOption func(o *writeOptions)

func newWriteOptions(options []WriteOption) writeOptions {
	var o writeOptions
	for _, option := range options {
		option(&o)
	}
	return o
}

// FieldOwner sets the field manager of the change.
func FieldOwner(name string) WriteOption { return func(o *writeOptions) { o.manager = name } }

// DryRunAll makes the API server check the change without storing it.
func DryRunAll(o *writeOptions) { o.dryRun = []string{metav1.DryRunAll} }

// ForceOwnership makes apply take fields over from other managers.
func ForceOwnership(o *writeOptions) { o.force = true }

// OnlyUID makes Delete fail with a conflict if the object has another UID.
func OnlyUID(uid types.UID) WriteOption { return func(o *writeOptions) { o.uid = &uid } }

// PropagationPolicy sets how Delete treats the objects that the object owns.
func PropagationPolicy(p metav1.DeletionPropagation) WriteOption {
	return func(o *writeOptions) { o.propagation = &p }
}
