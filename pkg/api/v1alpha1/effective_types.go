package v1alpha1

// EffectiveSpec is what the components of a runtime run with. Every object,
// credential, condition and deletion derives from it, and from nothing else. The
// controller changes it step by step towards what the specs of the runtime and of
// its Dataset declare.
//
// It is part of the status, which users of the namespace must not be able to write,
// and is validated whenever it is used. It contains no credentials.
type EffectiveSpec struct {
	// Version is the version of this format. A controller does not change anything
	// of a runtime whose version it does not know.
	Version int32 `json:"version"`

	// Revision is 1 at first and grows by one with every change.
	Revision int64 `json:"revision"`

	// Runtime is the spec of the runtime, with its defaults.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Runtime JindoRuntimeSpec `json:"runtime"`

	// ListedMasters is set while the number of masters changes: the topology lists the
	// first ones, this many, of those that run, which runtime.master.replicas counts.
	// The others are being removed from the members of Raft.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ListedMasters int32 `json:"listedMasters,omitempty"`

	// Dataset is the Dataset that the runtime serves; absent if it serves none.
	// +optional
	Dataset *EffectiveDataset `json:"dataset,omitempty"`

	// Images of the pods.
	Images RuntimeImages `json:"images"`

	// Renderer is the image of the controller that rendered the pod templates. A
	// controller of another image keeps the templates, which the image of the pods
	// supports, until it is told to update the pods.
	Renderer string `json:"renderer,omitempty"`
}

// EffectiveDataset is the Dataset that a runtime serves.
type EffectiveDataset struct {
	// Name of the Dataset.
	Name string `json:"name"`

	// Spec of the Dataset, with its defaults. Options that apply to all mounts are
	// part of each mount. Credentials that the Dataset has as plain text refer to
	// the Secret of the runtime, which has their values.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Spec DatasetSpec `json:"spec"`

	// SecretRefs names the credentials of mounts, by mount; those of other mounts have
	// the name of the mount. A mount whose store is changed gets new ones, so that
	// store and credentials change together.
	SecretRefs map[string]string `json:"secretRefs,omitempty"`

	// RetiredSecretRefs are credentials that masters or workers may still use.
	// +listType=atomic
	RetiredSecretRefs []string `json:"retiredSecretRefs,omitempty"`

	// CredentialsRevision is the revision in which credentials of mounts were last
	// added. Mounts are changed once every worker has read those of this revision.
	CredentialsRevision int64 `json:"credentialsRevision,omitempty"`
}

// SecretRef returns the name of the credentials of a mount.
func (d *EffectiveDataset) SecretRef(mount string) string {
	if ref, found := d.SecretRefs[mount]; found {
		return ref
	}
	return mount
}

// Transition is the change of a runtime's pods to the effective spec.
type Transition struct {
	// Revision is the revision of the effective spec that the steps lead to.
	Revision int64 `json:"revision"`

	// Steps are carried out in this order, one at a time.
	// +listType=atomic
	Steps []TransitionStep `json:"steps,omitempty"`

	// Waiting is what the current step waits for; empty if it is being carried out.
	Waiting string `json:"waiting,omitempty"`
}

// TransitionStep is one step of a transition. It may be repeated at any time.
type TransitionStep struct {
	// Role is master, worker or fuse.
	Role string `json:"role"`

	// Action is add for a new master, which joins the members of Raft, and remove for
	// one that leaves them. Without it, the instance is replaced by one with the
	// effective spec.
	// +optional
	Action string `json:"action,omitempty"`

	// Instance is the name of the pod of a master or worker, or the name of the node of
	// a FUSE server.
	Instance string `json:"instance"`

	// Done is true once the step was carried out.
	Done bool `json:"done,omitempty"`
}
