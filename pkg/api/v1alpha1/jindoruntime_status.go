package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RuntimeStatus is what has been seen of a runtime.
type RuntimeStatus struct {
	// ValueFileConfigmap names the ConfigMap with the runtime's values.
	// +optional
	ValueFileConfigmap string `json:"valueFile"`

	// MasterPhase of the masters.
	// +optional
	MasterPhase RuntimePhase `json:"masterPhase"`

	// MasterReason for it.
	MasterReason string `json:"masterReason,omitempty"`

	// WorkerPhase of the workers.
	// +optional
	WorkerPhase RuntimePhase `json:"workerPhase"`

	// WorkerReason for it.
	WorkerReason string `json:"workerReason,omitempty"`

	// DesiredWorkerNumberScheduled is how many workers are wanted.
	// +optional
	DesiredWorkerNumberScheduled int32 `json:"desiredWorkerNumberScheduled"`

	// CurrentWorkerNumberScheduled is how many workers there are.
	// +optional
	CurrentWorkerNumberScheduled int32 `json:"currentWorkerNumberScheduled"`

	// WorkerNumberReady is how many workers are ready.
	// +optional
	WorkerNumberReady int32 `json:"workerNumberReady"`

	// WorkerNumberAvailable is how many workers have been ready for a while.
	WorkerNumberAvailable int32 `json:"workerNumberAvailable,omitempty"`

	// WorkerNumberUnavailable is how many workers have not.
	WorkerNumberUnavailable int32 `json:"workerNumberUnavailable,omitempty"`

	// DesiredMasterNumberScheduled is how many masters are wanted.
	// +optional
	DesiredMasterNumberScheduled int32 `json:"desiredMasterNumberScheduled"`

	// CurrentMasterNumberScheduled is how many masters there are.
	// +optional
	CurrentMasterNumberScheduled int32 `json:"currentMasterNumberScheduled"`

	// MasterNumberReady is how many masters are ready.
	// +optional
	MasterNumberReady int32 `json:"masterNumberReady"`

	// FusePhase of the mounts.
	// +optional
	FusePhase RuntimePhase `json:"fusePhase"`

	// FuseReason for it.
	FuseReason string `json:"fuseReason,omitempty"`

	// CurrentFuseNumberScheduled is how many mounts there are.
	// +optional
	CurrentFuseNumberScheduled int32 `json:"currentFuseNumberScheduled"`

	// DesiredFuseNumberScheduled is how many mounts are wanted.
	// +optional
	DesiredFuseNumberScheduled int32 `json:"desiredFuseNumberScheduled"`

	// FuseNumberReady is how many mounts are ready.
	// +optional
	FuseNumberReady int32 `json:"fuseNumberReady"`

	// FuseNumberUnavailable is how many mounts have not been ready for a while.
	FuseNumberUnavailable int32 `json:"fuseNumberUnavailable,omitempty"`

	// FuseNumberAvailable is how many mounts have.
	FuseNumberAvailable int32 `json:"fuseNumberAvailable,omitempty"`

	// SetupDuration is how long the runtime took to become ready.
	SetupDuration string `json:"setupDuration,omitempty"`

	// ObservedGeneration is the generation of the spec that this status is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Formation is what must outlive the masters' disks.
	Formation *Formation `json:"formation,omitempty"`

	// Raft is the masters' view of themselves.
	Raft *RaftStatus `json:"raft,omitempty"`

	// Images that the pods were created with. They are kept until somebody asks
	// for others, so that an upgrade of the controllers restarts no pod.
	Images *RuntimeImages `json:"images,omitempty"`

	// CacheDirectories on nodes, to be removed with the runtime.
	// +listType=map
	// +listMapKey=node
	CacheDirectories []CacheDirectory `json:"cacheDirectories,omitempty"`

	// UfsTotal is the size of all files in the store.
	UfsTotal string `json:"ufsTotal,omitempty"`

	// FileNum is the number of files in the store.
	FileNum string `json:"fileNum,omitempty"`

	// Conditions as of now.
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []RuntimeCondition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// CacheStates are figures about the cache, by the keys named CacheState*.
	CacheStates CacheStateList `json:"cacheStates,omitempty"`

	// Selector of the workers' pods as text, for autoscalers.
	Selector string `json:"selector,omitempty"`

	// APIGatewayStatus says where the REST gateway is reached.
	APIGatewayStatus *APIGatewayStatus `json:"apiGateway,omitempty"`

	// MountTime is when mounts were last made.
	MountTime *metav1.Time `json:"mountTime,omitempty"`

	// Mounts that are in place.
	// +kubebuilder:validation:MaxItems=128
	Mounts []Mount `json:"mounts,omitempty"`

	// CacheAffinity leads pods to the nodes that cache.
	CacheAffinity *corev1.NodeAffinity `json:"cacheAffinity,omitempty"`
}

// Formation says whether the masters have formed a cluster. A master that finds
// an empty disk after that joins, and never forms another.
// +kubebuilder:validation:XValidation:rule="self.clusterID == oldSelf.clusterID",message="the id of a cluster never changes: leave it, or remove the whole formation to form a new cluster",fieldPath=".clusterID"
// +kubebuilder:validation:XValidation:rule="self.formed || !oldSelf.formed",message="masters that have formed a cluster never form another: leave it true, or remove the whole formation to form a new cluster",fieldPath=".formed"
type Formation struct {
	// ClusterID of the masters.
	ClusterID string `json:"clusterID"`

	// Formed is true once all masters vote, for good.
	Formed bool `json:"formed"`
}

// RaftStatus is what the masters say of themselves.
type RaftStatus struct {
	// Leader is the name of the master that leads; empty when none does.
	Leader string `json:"leader,omitempty"`

	// Term in which it leads.
	Term int64 `json:"term,omitempty"`

	// Members in the order of their numbers.
	// +listType=map
	// +listMapKey=name
	Members []RaftMember `json:"members,omitempty"`
}

// RaftMember is one master.
type RaftMember struct {
	// Name of the master.
	Name string `json:"name"`

	// State is LEADER, FOLLOWER, CANDIDATE, JOINING, SHUTDOWN or, when it did
	// not answer, UNKNOWN.
	State string `json:"state"`

	// Voter is true for a master that takes part in elections.
	Voter bool `json:"voter,omitempty"`

	// Message is why it did not answer.
	Message string `json:"message,omitempty"`
}

// RuntimeImages are what pods run.
type RuntimeImages struct {
	// Jindo is the image of masters and workers.
	Jindo string `json:"jindo,omitempty"`

	// Fuse is the image of the mounts' servers.
	Fuse string `json:"fuse,omitempty"`
}

// CacheDirectory is what a runtime has on one node.
type CacheDirectory struct {
	// Node by name.
	Node string `json:"node"`

	// Paths of directories that are the runtime's own.
	Paths []string `json:"paths"`
}

// RuntimeCondition is one thing that is so, or not, about a runtime.
type RuntimeCondition struct {
	// Type of the condition.
	Type RuntimeConditionType `json:"type"`

	// Status is True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`

	// Reason in one word.
	Reason string `json:"reason,omitempty"`

	// Message for people.
	Message string `json:"message,omitempty"`

	// ObservedGeneration is the generation of the spec that this is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// LastProbeTime is when this was last looked at.
	LastProbeTime metav1.Time `json:"lastProbeTime,omitempty"`

	// LastTransitionTime is when the status last changed.
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// RuntimePhase sums a component up in a word.
type RuntimePhase string

// Phases of a component.
const (
	RuntimePhaseNone         RuntimePhase = ""
	RuntimePhaseNotReady     RuntimePhase = "NotReady"
	RuntimePhasePartialReady RuntimePhase = "PartialReady"
	RuntimePhaseReady        RuntimePhase = "Ready"
)

// RuntimeConditionType names a condition of a runtime.
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

	// RuntimeReady: masters, workers and mounts are ready.
	RuntimeReady RuntimeConditionType = "Ready"
	// RuntimeSpecValid: the spec can be carried out.
	RuntimeSpecValid RuntimeConditionType = "SpecValid"
	// RuntimeDatasetBound: the runtime serves a Dataset.
	RuntimeDatasetBound RuntimeConditionType = "DatasetBound"
	// RuntimeMountsReady: what the Dataset mounts answers.
	RuntimeMountsReady RuntimeConditionType = "MountsReady"
	// RuntimeCredentialsReady: the Secrets that mounts name are there.
	RuntimeCredentialsReady RuntimeConditionType = "CredentialsReady"
	// RuntimeChangeNotApplied: the spec asks for what is not done online yet.
	RuntimeChangeNotApplied RuntimeConditionType = "ChangeNotApplied"
	// RuntimeUpdatePending: pods run with an older template.
	RuntimeUpdatePending RuntimeConditionType = "UpdatePending"
	// RuntimePlacementBlocked: pods find no node.
	RuntimePlacementBlocked RuntimeConditionType = "PlacementBlocked"
	// RuntimePodSecurityForbidden: the namespace refuses the pods.
	RuntimePodSecurityForbidden RuntimeConditionType = "PodSecurityForbidden"
	// RuntimeDeletionBlocked: something keeps the runtime from going.
	RuntimeDeletionBlocked RuntimeConditionType = "DeletionBlocked"
)
