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

// DataLoad loads parts of a Dataset into the cache before they are read.
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name is not a valid DNS label: write at most 63 lower-case letters, digits and '-', starting with a letter and not ending in '-', such as load"
// +kubebuilder:validation:XValidation:rule="has(self.spec) && has(self.spec.dataset) && has(self.spec.dataset.name) && size(self.spec.dataset.name) > 0",message="write spec.dataset.name, the name of the Dataset to load",reason=FieldValueRequired,fieldPath=".spec"
type DataLoad struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DataLoadSpec    `json:"spec,omitempty"`
	Status OperationStatus `json:"status,omitempty"`
}

// +kubebuilder:object:root=true

// DataLoadList is a list of DataLoads.
type DataLoadList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DataLoad `json:"items"`
}

// DataLoadSpec is the desired state of a DataLoad.
// +kubebuilder:validation:XValidation:rule="!has(self.policy) || self.policy != 'Cron' || has(self.schedule) && size(self.schedule) > 0",message=`the policy Cron needs a schedule: write schedule: "0 3 * * *"`,reason=FieldValueRequired,fieldPath=".schedule"
// +kubebuilder:validation:XValidation:rule="!has(self.schedule) || size(self.schedule) == 0 || has(self.policy) && self.policy == 'Cron'",message="schedule has no effect without the policy Cron: write policy: Cron, or omit it",fieldPath=".schedule"
type DataLoadSpec struct {
	// Dataset to load.
	Dataset TargetDataset `json:"dataset,omitempty"`

	// LoadMetadata refreshes names and attributes from the store first.
	// +optional
	LoadMetadata bool `json:"loadMetadata,omitempty"`

	// Target paths. Defaults to the whole Dataset.
	// +kubebuilder:validation:MaxItems=2000
	// +optional
	Target []TargetPath `json:"target,omitempty"`

	// Options of the load.
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="['loadMemorydata', 'loadMetadataOnly', 'atomicCache', 'forceload', 'dryrun', 'cacheListLocationEnable'].all(o, !(o in self) || self[o] in ['true', 'false'])",message=`loadMemorydata, loadMetadataOnly, atomicCache, forceload, dryrun and cacheListLocationEnable are booleans: write "true" or "false"`
	// +kubebuilder:validation:XValidation:rule="['cacheListReplica', 'threadNum', 'cacheThread'].all(o, !(o in self) || self[o].matches('^[0-9]*[1-9][0-9]*$'))",message=`cacheListReplica, threadNum and cacheThread are numbers: write a whole number of at least 1, such as "10"`
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

	// SchedulerName is the name of the scheduler for the pods that load.
	// +optional
	SchedulerName string `json:"schedulerName,omitempty"`

	// Policy determines when to load: Once, Cron or OnEvent. Defaults to Once.
	// +kubebuilder:default:=Once
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['Once', 'Cron', 'OnEvent']",message="unsupported value: write Once, Cron or OnEvent, or omit it"
	// +optional
	Policy Policy `json:"policy,omitempty"`

	// Schedule in crontab format. Required for the policy Cron.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^ *(@[a-z]+|[^ @]+( +[^ ]+){4}) *$')",message=`not a valid schedule: write minute, hour, day of the month, month and day of the week, such as "0 3 * * *"`
	// +optional
	Schedule string `json:"schedule,omitempty"`

	// RunAfter is the operation to wait for.
	// +optional
	RunAfter *OperationRef `json:"runAfter,omitempty"`

	// TTLSecondsAfterFinished is how long a finished DataLoad is kept.
	// +kubebuilder:validation:XValidation:rule="self >= 0",message="must not be negative: write 0 or more, or omit it"
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// Resources of the pods that load.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
}

// TargetDataset identifies the Dataset of an operation.
type TargetDataset struct {
	// Name of the Dataset.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || size(self) <= 63 && self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="not a valid Dataset name: write lower-case letters, digits and '-', starting with a letter"
	// +optional
	Name string `json:"name"`

	// Namespace of the Dataset, which must be that of the operation.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// TargetPath is one path to load.
type TargetPath struct {
	// Path in the file tree, absolute. Defaults to /.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:default="/"
	// +kubebuilder:validation:XValidation:rule="self.matches('^/')",message="not an absolute path: write a path such as /train"
	// +kubebuilder:validation:XValidation:rule="!self.matches('//|/[.][.]?(/|$)')",message="not a clean path: write it without //, . and .., such as /train"
	// +optional
	Path string `json:"path"`

	// Replicas is the number of copies of each cached block. Defaults to 1.
	// +kubebuilder:validation:XValidation:rule="self >= 1",message="not a valid number of replicas: write 1 or more, or omit it for 1"
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
}

// Policy determines when an operation runs.
type Policy string

// Policies of operations.
const (
	OncePolicy    Policy = "Once"
	CronPolicy    Policy = "Cron"
	OnEventPolicy Policy = "OnEvent"
)

// OperationRef refers to another operation.
type OperationRef struct {
	// ObjectRef of the operation.
	ObjectRef `json:",inline"`

	// AffinityStrategy places this operation relative to the nodes of the other.
	// +optional
	AffinityStrategy AffinityStrategy `json:"affinityStrategy,omitempty"`
}

// ObjectRef refers to an operation.
// +kubebuilder:validation:XValidation:rule="has(self.kind) && self.kind in ['DataLoad', 'DataBackup', 'DataMigrate', 'DataProcess']",message="unsupported kind: write DataLoad, DataBackup, DataMigrate or DataProcess",fieldPath=".kind"
// +kubebuilder:validation:XValidation:rule="has(self.name) && size(self.name) > 0",message="write the name of the operation to wait for",reason=FieldValueRequired,fieldPath=".name"
type ObjectRef struct {
	// APIVersion of the operation.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`

	// Kind of the operation: DataLoad, DataBackup, DataMigrate or DataProcess.
	// +optional
	Kind string `json:"kind"`

	// Name of the operation.
	// +optional
	Name string `json:"name"`

	// Namespace of the operation.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// AffinityStrategy places an operation relative to the nodes of another.
type AffinityStrategy struct {
	// DependOn is the other operation. Defaults to that of runAfter.
	// +optional
	DependOn *ObjectRef `json:"dependOn,omitempty"`

	// Policy is Require, Prefer or empty.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['Require', 'Prefer']",message="unsupported value: write Require or Prefer, or omit it"
	// +optional
	Policy AffinityPolicy `json:"policy,omitempty"`

	// Prefers are labels that the nodes should share.
	// +optional
	Prefers []Prefer `json:"prefers,omitempty"`

	// Requires are labels that the nodes must share.
	// +optional
	Requires []Require `json:"requires,omitempty"`
}

// AffinityPolicy determines how strictly an AffinityStrategy applies.
type AffinityPolicy string

// Policies of an AffinityStrategy.
const (
	DefaultAffinityPolicy AffinityPolicy = ""
	RequireAffinityPolicy AffinityPolicy = "Require"
	PreferAffinityPolicy  AffinityPolicy = "Prefer"
)

// Prefer is a label that nodes should share.
// +kubebuilder:validation:XValidation:rule="has(self.name) && size(self.name) > 0",message="write the name of a label of nodes, such as topology.kubernetes.io/zone",reason=FieldValueRequired,fieldPath=".name"
type Prefer struct {
	// Name of the label.
	// +optional
	Name string `json:"name"`

	// Weight of this preference.
	// +optional
	Weight int32 `json:"weight"`
}

// Require is a label that nodes must share.
// +kubebuilder:validation:XValidation:rule="has(self.name) && size(self.name) > 0",message="write the name of a label of nodes, such as topology.kubernetes.io/zone",reason=FieldValueRequired,fieldPath=".name"
type Require struct {
	// Name of the label.
	// +optional
	Name string `json:"name"`
}

// OperationStatus is the observed state of an operation.
type OperationStatus struct {
	// Phase of the operation.
	// +optional
	Phase OperationPhase `json:"phase"`

	// Duration of the operation, or Unfinished while it runs.
	// +optional
	Duration string `json:"duration"`

	// Conditions are the latest observations of the operation.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitzero"`

	// Infos are figures about the operation.
	Infos map[string]string `json:"infos,omitempty"`

	// LastScheduleTime is when a schedule last started the operation.
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`

	// LastSuccessfulTime is when a scheduled operation last succeeded.
	LastSuccessfulTime *metav1.Time `json:"lastSuccessfulTime,omitempty"`

	// WaitingFor is what the operation waits for.
	WaitingFor WaitingStatus `json:"waitingFor,omitempty"`

	// NodeAffinity of the pods that ran the operation.
	NodeAffinity *corev1.NodeAffinity `json:"nodeAffinity,omitempty"`
}

// WaitingStatus is what an operation waits for.
type WaitingStatus struct {
	// OperationComplete is false while the operation of runAfter is running.
	OperationComplete *bool `json:"operationComplete,omitempty"`
}

// OperationPhase summarizes the state of an operation.
type OperationPhase string

// Phases of an operation.
const (
	NoneOperationPhase      OperationPhase = ""
	PendingOperationPhase   OperationPhase = "Pending"
	ExecutingOperationPhase OperationPhase = "Executing"
	CompleteOperationPhase  OperationPhase = "Complete"
	FailedOperationPhase    OperationPhase = "Failed"
)

// UnfinishedDuration is the duration of an operation that is still running.
const UnfinishedDuration = "Unfinished"
