package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RuntimeStatus is what has been seen of a runtime.
type RuntimeStatus struct {
	// ValueFileConfigmap names the ConfigMap with the runtime's values.
	ValueFileConfigmap string `json:"valueFile"`

	// MasterPhase of the masters.
	MasterPhase RuntimePhase `json:"masterPhase"`

	// MasterReason for it.
	MasterReason string `json:"masterReason,omitempty"`

	// WorkerPhase of the workers.
	WorkerPhase RuntimePhase `json:"workerPhase"`

	// WorkerReason for it.
	WorkerReason string `json:"workerReason,omitempty"`

	// DesiredWorkerNumberScheduled is how many workers are wanted.
	DesiredWorkerNumberScheduled int32 `json:"desiredWorkerNumberScheduled"`

	// CurrentWorkerNumberScheduled is how many workers there are.
	CurrentWorkerNumberScheduled int32 `json:"currentWorkerNumberScheduled"`

	// WorkerNumberReady is how many workers are ready.
	WorkerNumberReady int32 `json:"workerNumberReady"`

	// WorkerNumberAvailable is how many workers have been ready for a while.
	WorkerNumberAvailable int32 `json:"workerNumberAvailable,omitempty"`

	// WorkerNumberUnavailable is how many workers have not.
	WorkerNumberUnavailable int32 `json:"workerNumberUnavailable,omitempty"`

	// DesiredMasterNumberScheduled is how many masters are wanted.
	DesiredMasterNumberScheduled int32 `json:"desiredMasterNumberScheduled"`

	// CurrentMasterNumberScheduled is how many masters there are.
	CurrentMasterNumberScheduled int32 `json:"currentMasterNumberScheduled"`

	// MasterNumberReady is how many masters are ready.
	MasterNumberReady int32 `json:"masterNumberReady"`

	// FusePhase of the mounts.
	FusePhase RuntimePhase `json:"fusePhase"`

	// FuseReason for it.
	FuseReason string `json:"fuseReason,omitempty"`

	// CurrentFuseNumberScheduled is how many mounts there are.
	CurrentFuseNumberScheduled int32 `json:"currentFuseNumberScheduled"`

	// DesiredFuseNumberScheduled is how many mounts are wanted.
	DesiredFuseNumberScheduled int32 `json:"desiredFuseNumberScheduled"`

	// FuseNumberReady is how many mounts are ready.
	FuseNumberReady int32 `json:"fuseNumberReady"`

	// FuseNumberUnavailable is how many mounts have not been ready for a while.
	FuseNumberUnavailable int32 `json:"fuseNumberUnavailable,omitempty"`

	// FuseNumberAvailable is how many mounts have.
	FuseNumberAvailable int32 `json:"fuseNumberAvailable,omitempty"`

	// SetupDuration is how long the runtime took to become ready.
	SetupDuration string `json:"setupDuration,omitempty"`

	// Conditions as of now.
	// +patchMergeKey=type
	// +patchStrategy=merge
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
	Mounts []Mount `json:"mounts,omitempty"`

	// CacheAffinity leads pods to the nodes that cache.
	CacheAffinity *corev1.NodeAffinity `json:"cacheAffinity,omitempty"`
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
)
