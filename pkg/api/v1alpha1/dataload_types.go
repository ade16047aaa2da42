package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={fluid},shortName=load
// +kubebuilder:printcolumn:name="Dataset",type="string",JSONPath=`.spec.dataset.name`
// +kubebuilder:printcolumn:name="Phase",type="string",JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Duration",type="string",JSONPath=`.status.duration`

// DataLoad brings parts of a Dataset into the cache before they are read.
type DataLoad struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DataLoadSpec    `json:"spec,omitempty"`
	Status OperationStatus `json:"status,omitempty"`
}

// +kubebuilder:object:root=true

// DataLoadList is several DataLoads.
type DataLoadList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DataLoad `json:"items"`
}

// DataLoadSpec is what a person wants loaded.
type DataLoadSpec struct {
	// Dataset to load.
	Dataset TargetDataset `json:"dataset,omitempty"`

	// LoadMetadata asks the store for names and attributes again first.
	// +optional
	LoadMetadata bool `json:"loadMetadata,omitempty"`

	// Target paths; all of the Dataset when there are none.
	// +optional
	Target []TargetPath `json:"target,omitempty"`

	// Options of the load.
	// +optional
	Options map[string]string `json:"options,omitempty"`

	// PodMetadata of the pods that load.
	// +optional
	PodMetadata PodMetadata `json:"podMetadata,omitempty"`

	// Affinity of the pods that load.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// Tolerations of the pods that load.
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// NodeSelector of the pods that load.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// SchedulerName of the scheduler that places the pods that load.
	// +optional
	SchedulerName string `json:"schedulerName,omitempty"`

	// Policy says when to load: Once, by a Cron schedule, or OnEvent.
	// +kubebuilder:default:=Once
	// +kubebuilder:validation:Enum=Once;Cron;OnEvent
	// +optional
	Policy Policy `json:"policy,omitempty"`

	// Schedule in cron's form, for the policy Cron.
	// +optional
	Schedule string `json:"schedule,omitempty"`

	// RunAfter names the operation to wait for.
	// +optional
	RunAfter *OperationRef `json:"runAfter,omitempty"`

	// TTLSecondsAfterFinished is how long a finished load is kept.
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// Resources of the pods that load.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
}

// TargetDataset names the Dataset of an operation.
type TargetDataset struct {
	// Name of the Dataset.
	Name string `json:"name"`

	// Namespace of the Dataset, which must be the operation's own.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// TargetPath is one path to load.
type TargetPath struct {
	// Path in the tree, absolute.
	Path string `json:"path"`

	// Replicas of each cached block.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
}

// Policy says when an operation runs.
type Policy string

// Policies of operations.
const (
	OncePolicy    Policy = "Once"
	CronPolicy    Policy = "Cron"
	OnEventPolicy Policy = "OnEvent"
)

// OperationRef names another operation.
type OperationRef struct {
	// ObjectRef of the operation.
	ObjectRef `json:",inline"`

	// AffinityStrategy places this operation by the nodes of the other.
	// +optional
	AffinityStrategy AffinityStrategy `json:"affinityStrategy,omitempty"`
}

// ObjectRef names an operation.
type ObjectRef struct {
	// APIVersion of the operation.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`

	// Kind of the operation.
	// +kubebuilder:validation:Enum=DataLoad;DataBackup;DataMigrate;DataProcess
	// +required
	Kind string `json:"kind"`

	// Name of the operation.
	// +required
	Name string `json:"name"`

	// Namespace of the operation.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// AffinityStrategy places an operation by the nodes of another.
type AffinityStrategy struct {
	// DependOn is the other operation, when it is not the one of runAfter.
	// +optional
	DependOn *ObjectRef `json:"dependOn,omitempty"`

	// Policy is Require, Prefer or empty.
	// +optional
	Policy AffinityPolicy `json:"policy,omitempty"`

	// Prefers are labels that the nodes should share.
	// +optional
	Prefers []Prefer `json:"prefers,omitempty"`

	// Requires are labels that the nodes must share.
	// +optional
	Requires []Require `json:"requires,omitempty"`
}

// AffinityPolicy says how strictly an AffinityStrategy holds.
type AffinityPolicy string

// Policies of an AffinityStrategy.
const (
	DefaultAffinityPolicy AffinityPolicy = ""
	RequireAffinityPolicy AffinityPolicy = "Require"
	PreferAffinityPolicy  AffinityPolicy = "Prefer"
)

// Prefer is a label that nodes should share.
type Prefer struct {
	// Name of the label.
	Name string `json:"name"`

	// Weight of this preference.
	Weight int32 `json:"weight"`
}

// Require is a label that nodes must share.
type Require struct {
	// Name of the label.
	Name string `json:"name"`
}

// OperationStatus is what has been seen of an operation.
type OperationStatus struct {
	// Phase of the operation.
	Phase OperationPhase `json:"phase"`

	// Duration of the operation; Unfinished until it is done.
	Duration string `json:"duration"`

	// Conditions as of now; an empty list rather than none.
	Conditions []Condition `json:"conditions"`

	// Infos are figures about the operation.
	Infos map[string]string `json:"infos,omitempty"`

	// LastScheduleTime is when a schedule last started the operation.
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`

	// LastSuccessfulTime is when a scheduled operation last succeeded.
	LastSuccessfulTime *metav1.Time `json:"lastSuccessfulTime,omitempty"`

	// WaitingFor says what the operation waits for.
	WaitingFor WaitingStatus `json:"waitingFor,omitempty"`

	// NodeAffinity of the pods that ran the operation.
	NodeAffinity *corev1.NodeAffinity `json:"nodeAffinity,omitempty"`
}

// WaitingStatus says what an operation waits for.
type WaitingStatus struct {
	// OperationComplete is false while the operation of runAfter goes on.
	OperationComplete *bool `json:"operationComplete,omitempty"`
}

// OperationPhase sums an operation up in a word.
type OperationPhase string

// Phases of an operation.
const (
	NoneOperationPhase      OperationPhase = ""
	PendingOperationPhase   OperationPhase = "Pending"
	ExecutingOperationPhase OperationPhase = "Executing"
	CompleteOperationPhase  OperationPhase = "Complete"
	FailedOperationPhase    OperationPhase = "Failed"
)

// UnfinishedDuration is an operation's duration until it is done.
const UnfinishedDuration = "Unfinished"
