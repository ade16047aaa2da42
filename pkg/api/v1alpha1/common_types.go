package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations that users set.
const (
	// DatasetAnnotation on a JindoRuntime names the Dataset that it serves, if
	// their names differ.
	DatasetAnnotation = "data.fluid.io/dataset"
	// UpdatesAnnotation on a JindoRuntime determines when pods are replaced:
	// UpdatesAutomatic or UpdatesPaused. Without it an edit of the spec replaces
	// pods, and an upgrade of the controllers does not.
	UpdatesAnnotation = "jindo.io/updates"
	// RetryAnnotation on a JindoRuntime repeats an update of pods that failed, whenever
	// its value changes.
	RetryAnnotation = "jindo.io/retry-update"
	// PVCStorageAnnotation on a Dataset is the size that its
	// PersistentVolumeClaim requests.
	PVCStorageAnnotation = "pvc.fluid.io/resources.requests.storage"
	// MetadataListAnnotation on a JindoRuntime adds labels and annotations to
	// the objects created for it.
	MetadataListAnnotation = "data.fluid.io/metadataList"
)

// MaxMasters is the largest number of masters of a runtime.
const MaxMasters = 3

// Values of UpdatesAnnotation.
const (
	// UpdatesAutomatic replaces pods after an upgrade of the controllers, too.
	UpdatesAutomatic = "Automatic"
	// UpdatesPaused replaces no pod.
	UpdatesPaused = "Paused"
)

// Category is the category of a runtime.
type Category string

// AccelerateCategory is the category of caching runtimes.
const AccelerateCategory Category = "Accelerate"

// JindoRuntimeType is the type of a JindoRuntime in the status of a Dataset.
const JindoRuntimeType = "jindo"

// CacheStateList maps the names of figures about the cache to their values.
type CacheStateList map[CacheStateName]string

// AtLeast ends a total in a status that is a lower bound: "20000001+".
const AtLeast = "+"

// CacheStateName is the name of a figure about the cache.
type CacheStateName string

// Figures about the cache.
const (
	CacheStateCached                CacheStateName = "cached"
	CacheStateCacheCapacity         CacheStateName = "cacheCapacity"
	CacheStateCachedPercentage      CacheStateName = "cachedPercentage"
	CacheStateCacheHitRatio         CacheStateName = "cacheHitRatio"
	CacheStateLocalHitRatio         CacheStateName = "localHitRatio"
	CacheStateRemoteHitRatio        CacheStateName = "remoteHitRatio"
	CacheStateCacheThroughputRatio  CacheStateName = "cacheThroughputRatio"
	CacheStateLocalThroughputRatio  CacheStateName = "localThroughputRatio"
	CacheStateRemoteThroughputRatio CacheStateName = "remoteThroughputRatio"
	CacheStateLowWaterMark          CacheStateName = "lowWaterMark"
	CacheStateHighWaterMark         CacheStateName = "highWaterMark"
	CacheStateNonCacheable          CacheStateName = "nonCacheable"
	// CacheStateRecentHitRatio is the hit ratio of the last minutes, and
	// CacheStateCacheHitRatio that since the workers started. It is absent while
	// nothing is read.
	CacheStateRecentHitRatio CacheStateName = "recentHitRatio"
)

// User is a user and a group, by ID and by name.
type User struct {
	// UID of the user.
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 2147483647",message="not a valid user or group ID: write a number from 0 to 2147483647"
	// +optional
	UID *int64 `json:"uid,omitempty"`

	// GID of the group.
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 2147483647",message="not a valid user or group ID: write a number from 0 to 2147483647"
	// +optional
	GID *int64 `json:"gid,omitempty"`

	// UserName of the user.
	// +optional
	UserName string `json:"user"`

	// GroupName of the group.
	// +optional
	GroupName string `json:"group"`
}

// PodMetadata is metadata that is added to pods.
type PodMetadata struct {
	// Labels to add.
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations to add.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// VersionSpec specifies a container image.
type VersionSpec struct {
	// Image name without its tag.
	Image string `json:"image,omitempty"`

	// ImageTag is the tag of the image.
	ImageTag string `json:"imageTag,omitempty"`

	// ImagePullPolicy is Always, IfNotPresent or Never.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['Always', 'IfNotPresent', 'Never']",message="unsupported value: write Always, IfNotPresent or Never, or omit it"
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`
}

// HCFSStatus is the address of the file system.
type HCFSStatus struct {
	// Endpoint of the masters.
	Endpoint string `json:"endpoint,omitempty"`

	// UnderlayerFileSystemVersion is the protocol version that clients must use.
	UnderlayerFileSystemVersion string `json:"underlayerFileSystemVersion,omitempty"`
}

// APIGatewayStatus is the address of the REST gateway.
type APIGatewayStatus struct {
	// Endpoint of the gateway.
	Endpoint string `json:"endpoint,omitempty"`
}

// Condition is one aspect of the observed state of an operation.
type Condition struct {
	// Type of the condition: Complete, Failed or NotSupportedYet.
	Type ConditionType `json:"type"`

	// Status of the condition: True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`

	// Reason for the last transition, as one CamelCase word.
	Reason string `json:"reason,omitempty"`

	// Message is a human-readable explanation.
	Message string `json:"message,omitempty"`

	// LastProbeTime is when the condition was last evaluated.
	LastProbeTime metav1.Time `json:"lastProbeTime,omitempty"`

	// LastTransitionTime is when the status last changed.
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// ConditionType is the type of a condition of an operation.
type ConditionType string

// Conditions of an operation.
const (
	OperationComplete ConditionType = "Complete"
	OperationFailed   ConditionType = "Failed"
	// OperationNotSupportedYet is true if the operation is not carried out, because
	// this version does not support it.
	OperationNotSupportedYet ConditionType = "NotSupportedYet"
)
