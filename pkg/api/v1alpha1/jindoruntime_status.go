package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RuntimeStatus is the observed state of a runtime.
type RuntimeStatus struct {
	// ValueFileConfigmap is the name of the ConfigMap with the values of the runtime.
	// +optional
	ValueFileConfigmap string `json:"valueFile"`

	// MasterPhase is the phase of the masters.
	// +optional
	MasterPhase RuntimePhase `json:"masterPhase"`

	// MasterReason explains the phase of the masters.
	MasterReason string `json:"masterReason,omitempty"`

	// WorkerPhase is the phase of the workers.
	// +optional
	WorkerPhase RuntimePhase `json:"workerPhase"`

	// WorkerReason explains the phase of the workers.
	WorkerReason string `json:"workerReason,omitempty"`

	// DesiredWorkerNumberScheduled is the desired number of workers.
	// +optional
	DesiredWorkerNumberScheduled int32 `json:"desiredWorkerNumberScheduled"`

	// CurrentWorkerNumberScheduled is the current number of workers.
	// +optional
	CurrentWorkerNumberScheduled int32 `json:"currentWorkerNumberScheduled"`

	// WorkerNumberReady is the number of ready workers.
	// +optional
	WorkerNumberReady int32 `json:"workerNumberReady"`

	// WorkerNumberAvailable is the number of available workers: those that have
	// been ready for the minimum time.
	WorkerNumberAvailable int32 `json:"workerNumberAvailable,omitempty"`

	// WorkerNumberUnavailable is the number of unavailable workers.
	WorkerNumberUnavailable int32 `json:"workerNumberUnavailable,omitempty"`

	// DesiredMasterNumberScheduled is the desired number of masters.
	// +optional
	DesiredMasterNumberScheduled int32 `json:"desiredMasterNumberScheduled"`

	// CurrentMasterNumberScheduled is the current number of masters.
	// +optional
	CurrentMasterNumberScheduled int32 `json:"currentMasterNumberScheduled"`

	// MasterNumberReady is the number of ready masters.
	// +optional
	MasterNumberReady int32 `json:"masterNumberReady"`

	// FusePhase is the phase of the FUSE servers.
	// +optional
	FusePhase RuntimePhase `json:"fusePhase"`

	// FuseReason explains the phase of the FUSE servers.
	FuseReason string `json:"fuseReason,omitempty"`

	// CurrentFuseNumberScheduled is the current number of FUSE servers.
	// +optional
	CurrentFuseNumberScheduled int32 `json:"currentFuseNumberScheduled"`

	// DesiredFuseNumberScheduled is the desired number of FUSE servers.
	// +optional
	DesiredFuseNumberScheduled int32 `json:"desiredFuseNumberScheduled"`

	// FuseNumberReady is the number of ready FUSE servers.
	// +optional
	FuseNumberReady int32 `json:"fuseNumberReady"`

	// FuseNumberUnavailable is the number of unavailable FUSE servers.
	FuseNumberUnavailable int32 `json:"fuseNumberUnavailable,omitempty"`

	// FuseNumberAvailable is the number of available FUSE servers.
	FuseNumberAvailable int32 `json:"fuseNumberAvailable,omitempty"`

	// SetupDuration is the time that the runtime took to become ready.
	SetupDuration string `json:"setupDuration,omitempty"`

	// ObservedGeneration is the most recent generation of the spec that the
	// controller has observed.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// ScopeName is the name of the runtime among those of all namespaces, from which the
	// names of its PersistentVolumes and of the labels of its nodes derive:
	// NAMESPACE-NAME, with a digest if another runtime has the same.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="volumes and labels have this name: it is immutable"
	// +optional
	ScopeName string `json:"scopeName,omitempty"`

	// Formation records whether the masters have formed a cluster. It must outlive
	// the disks of the masters.
	Formation *Formation `json:"formation,omitempty"`

	// Raft is the state of the Raft cluster as the masters report it.
	Raft *RaftStatus `json:"raft,omitempty"`

	// Effective is what the components run with, as opposed to what the spec
	// declares.
	Effective *EffectiveSpec `json:"effective,omitempty"`

	// Transition is the change of the pods to the effective spec; absent when all
	// pods run with it.
	Transition *Transition `json:"transition,omitempty"`

	// Fallbacks are the pod templates to which components return if a pod with the
	// template of the effective spec does not become ready.
	// +listType=atomic
	// +optional
	Fallbacks []ComponentFallback `json:"fallbacks,omitempty"`

	// Reverted is the update of the pods that failed; absent otherwise. While it exists,
	// the components of fallbacks run with these templates.
	// +optional
	Reverted *RevertedUpdate `json:"reverted,omitempty"`

	// History are the last valid specs of the runtime, the newest last, without changes of
	// its number of workers alone.
	// +listType=atomic
	// +optional
	History []SpecRevision `json:"history,omitempty"`

	// Images are the images of the effective spec.
	Images *RuntimeImages `json:"images,omitempty"`

	// CacheDirectories are the directories on nodes that are removed with the
	// runtime.
	// +listType=map
	// +listMapKey=node
	CacheDirectories []CacheDirectory `json:"cacheDirectories,omitempty"`

	// UfsTotal is the total size of the files in the store.
	UfsTotal string `json:"ufsTotal,omitempty"`

	// FileNum is the number of files in the store. If the store is too large to be
	// counted, it is a lower bound, with a + at its end.
	FileNum string `json:"fileNum,omitempty"`

	// Conditions are the latest observations of the runtime.
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []RuntimeCondition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// CacheStates are figures about the cache, such as cached and cacheCapacity.
	CacheStates CacheStateList `json:"cacheStates,omitempty"`

	// Selector is the label selector of the worker pods, for autoscalers.
	Selector string `json:"selector,omitempty"`

	// APIGatewayStatus is the address of the REST gateway.
	APIGatewayStatus *APIGatewayStatus `json:"apiGateway,omitempty"`

	// MountTime is when mounts were last created.
	MountTime *metav1.Time `json:"mountTime,omitempty"`

	// Mounts that are in place.
	Mounts []Mount `json:"mounts,omitempty"`

	// CacheAffinity attracts pods to the nodes that cache data.
	CacheAffinity *corev1.NodeAffinity `json:"cacheAffinity,omitempty"`
}

// Formation records whether the masters have formed a cluster. A master that
// starts with an empty disk afterwards joins this cluster and never forms another.
// +kubebuilder:validation:XValidation:rule="self.clusterID == oldSelf.clusterID",message="the cluster ID is immutable: keep it, or remove the whole formation to form a new cluster",fieldPath=".clusterID"
// +kubebuilder:validation:XValidation:rule="self.formed || !oldSelf.formed",message="masters that have formed a cluster never form another: keep it true, or remove the whole formation to form a new cluster",fieldPath=".formed"
type Formation struct {
	// ClusterID is the identifier of the cluster.
	ClusterID string `json:"clusterID"`

	// Formed is true once all masters have become voters. It never becomes false
	// again.
	Formed bool `json:"formed"`
}

// RaftStatus is the state of the Raft cluster.
type RaftStatus struct {
	// Leader is the name of the leader; empty if there is none.
	Leader string `json:"leader,omitempty"`

	// Term is the current Raft term.
	Term int64 `json:"term,omitempty"`

	// Members are the masters in the order of their ordinals.
	// +listType=map
	// +listMapKey=name
	Members []RaftMember `json:"members,omitempty"`
}

// RaftMember is one member of the Raft cluster.
type RaftMember struct {
	// Name of the master.
	Name string `json:"name"`

	// State is LEADER, FOLLOWER, CANDIDATE, JOINING, SHUTDOWN, or UNKNOWN if the
	// master does not respond.
	State string `json:"state"`

	// Voter is true if the master votes in elections.
	Voter bool `json:"voter,omitempty"`

	// Message explains why the master does not respond.
	Message string `json:"message,omitempty"`
}

// RuntimeImages are the images of the pods.
type RuntimeImages struct {
	// Jindo is the image of masters and workers.
	Jindo string `json:"jindo,omitempty"`

	// Fuse is the image of the FUSE servers.
	Fuse string `json:"fuse,omitempty"`
}

// CacheDirectory lists the directories of a runtime on one node.
type CacheDirectory struct {
	// Node is the name of the node.
	Node string `json:"node"`

	// Paths of the directories that belong to the runtime alone.
	Paths []string `json:"paths"`
}

// RuntimeCondition is one aspect of the observed state of a runtime.
type RuntimeCondition struct {
	// Type of the condition.
	Type RuntimeConditionType `json:"type"`

	// Status of the condition: True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`

	// Reason for the last transition, as one CamelCase word.
	Reason string `json:"reason,omitempty"`

	// Message is a human-readable explanation.
	Message string `json:"message,omitempty"`

	// ObservedGeneration is the generation of the spec that the condition is
	// based on.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// LastProbeTime is when the condition was last evaluated.
	LastProbeTime metav1.Time `json:"lastProbeTime,omitempty"`

	// LastTransitionTime is when the status last changed.
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// RuntimePhase summarizes the state of a component.
type RuntimePhase string

// Phases of a component.
const (
	RuntimePhaseNone         RuntimePhase = ""
	RuntimePhaseNotReady     RuntimePhase = "NotReady"
	RuntimePhasePartialReady RuntimePhase = "PartialReady"
	RuntimePhaseReady        RuntimePhase = "Ready"
)

// RuntimeConditionType is the type of a condition of a runtime.
type RuntimeConditionType string

// Conditions of a runtime.
const (
	RuntimeMasterInitialized  RuntimeConditionType = "MasterInitialized"
	RuntimeMasterReady        RuntimeConditionType = "MasterReady"
	RuntimeWorkersInitialized RuntimeConditionType = "WorkersInitialized"
	RuntimeWorkersReady       RuntimeConditionType = "WorkersReady"
	RuntimeWorkersScaledIn    RuntimeConditionType = "WorkersScaledIn"
	RuntimeWorkersScaledOut   RuntimeConditionType = "WorkersScaledOut"
	RuntimeFusesInitialized   RuntimeConditionType = "FusesInitialized"
	RuntimeFusesReady         RuntimeConditionType = "FusesReady"
	RuntimeFusesScaledIn      RuntimeConditionType = "FusesScaledIn"
	RuntimeFusesScaledOut     RuntimeConditionType = "FusesScaledOut"

	// RuntimeReady is true if masters, workers and FUSE servers are ready.
	RuntimeReady RuntimeConditionType = "Ready"
	// RuntimeSpecValid is false if the spec has errors.
	RuntimeSpecValid RuntimeConditionType = "SpecValid"
	// RuntimeDatasetBound is true if the runtime serves a Dataset.
	RuntimeDatasetBound RuntimeConditionType = "DatasetBound"
	// RuntimeMountsReady is true if the stores of all mounts respond.
	RuntimeMountsReady RuntimeConditionType = "MountsReady"
	// RuntimeCredentialsReady is true if the Secrets that mounts refer to exist.
	RuntimeCredentialsReady RuntimeConditionType = "CredentialsReady"
	// RuntimeChangeNotApplied is true if the spec contains a change that is not
	// applied to a running cluster.
	RuntimeChangeNotApplied RuntimeConditionType = "ChangeNotApplied"
	// RuntimeUpdating is true while pods are replaced by pods with the effective
	// spec.
	RuntimeUpdating RuntimeConditionType = "Updating"
	// RuntimeRolloutReverted is true if a pod of a component with a new template did not
	// become ready, so that the component runs with the previous one.
	RuntimeRolloutReverted RuntimeConditionType = "RolloutReverted"
	// RuntimeUpdatePending is true if pods run with an older template that is not
	// replaced by itself.
	RuntimeUpdatePending RuntimeConditionType = "UpdatePending"
	// RuntimeNotSupportedYet is true if the spec contains what this version accepts
	// and does not carry out.
	RuntimeNotSupportedYet RuntimeConditionType = "NotSupportedYet"
	// RuntimePlacementBlocked is true if pods cannot be scheduled.
	RuntimePlacementBlocked RuntimeConditionType = "PlacementBlocked"
	// RuntimeHostPathRefused is true if a tier or volume is a directory of nodes
	// that the installation does not allow.
	RuntimeHostPathRefused RuntimeConditionType = "HostPathRefused"
	// RuntimePodSecurityForbidden is true if the Pod Security level of the
	// namespace forbids the pods.
	RuntimePodSecurityForbidden RuntimeConditionType = "PodSecurityForbidden"
	// RuntimeSnapshotsFailing is true if spec.master.snapshots is not carried out.
	RuntimeSnapshotsFailing RuntimeConditionType = "SnapshotsFailing"
	// RuntimeDeletionBlocked is true if something prevents the deletion of the
	// runtime.
	RuntimeDeletionBlocked RuntimeConditionType = "DeletionBlocked"
)
