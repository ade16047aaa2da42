package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations that people write.
const (
	// DatasetAnnotation on a JindoRuntime names the Dataset it serves when the
	// two names differ.
	DatasetAnnotation = "data.fluid.io/dataset"
	// PVCStorageAnnotation on a Dataset is the size its claim asks for.
	PVCStorageAnnotation = "pvc.fluid.io/resources.requests.storage"
	// MetadataListAnnotation on a JindoRuntime adds labels and annotations to
	// the objects made for it.
	MetadataListAnnotation = "data.fluid.io/metadataList"
)

// Category of a runtime.
type Category string

// AccelerateCategory is the category of runtimes that cache.
const AccelerateCategory Category = "Accelerate"

// JindoRuntimeType is what a Dataset's status calls a JindoRuntime.
const JindoRuntimeType = "jindo"

// CacheStateList holds figures about the cache as text.
type CacheStateList map[CacheStateName]string

// CacheStateName names a figure about the cache.
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
)

// User is a user and a group, by number and by name.
type User struct {
	// UID of the user.
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 2147483647",message="is no id of a user or group: write a number from 0 to 2147483647"
	// +optional
	UID *int64 `json:"uid,omitempty"`

	// GID of the group.
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 2147483647",message="is no id of a user or group: write a number from 0 to 2147483647"
	// +optional
	GID *int64 `json:"gid,omitempty"`

	// UserName of the user.
	// +optional
	UserName string `json:"user"`

	// GroupName of the group.
	// +optional
	GroupName string `json:"group"`
}

// PodMetadata is added to the metadata of pods.
type PodMetadata struct {
	// Labels to add.
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations to add.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// VersionSpec names a container image.
type VersionSpec struct {
	// Image without its tag.
	Image string `json:"image,omitempty"`

	// ImageTag of the image.
	ImageTag string `json:"imageTag,omitempty"`

	// ImagePullPolicy is Always, IfNotPresent or Never.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['Always', 'IfNotPresent', 'Never']",message="is not one of the values there are: write Always, IfNotPresent or Never, or leave it out"
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`
}

// HCFSStatus says where the file system is reached.
type HCFSStatus struct {
	// Endpoint of the masters.
	Endpoint string `json:"endpoint,omitempty"`

	// UnderlayerFileSystemVersion that clients must speak.
	UnderlayerFileSystemVersion string `json:"underlayerFileSystemVersion,omitempty"`
}

// APIGatewayStatus says where the REST gateway is reached.
type APIGatewayStatus struct {
	// Endpoint of the gateway.
	Endpoint string `json:"endpoint,omitempty"`
}

// Condition is one thing that is so, or not, about an operation.
type Condition struct {
	// Type of the condition: Complete or Failed.
	Type ConditionType `json:"type"`

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

// ConditionType names a condition of an operation.
type ConditionType string

// Conditions of an operation.
const (
	OperationComplete ConditionType = "Complete"
	OperationFailed   ConditionType = "Failed"
)
