package v1alpha1

import corev1 "k8s.io/api/core/v1"

// TieredStore says what each worker caches on.
type TieredStore struct {
	// Levels of the cache, the fastest first.
	// +optional
	Levels []Level `json:"levels,omitempty"`
}

// Level is one tier: a medium, its paths and how much of them may be used.
// +kubebuilder:validation:XValidation:rule="!has(self.quota) || !has(self.quotaList)",message="quota and quotaList exclude each other: write quota to share it equally among the paths, or quotaList for each path its own"
type Level struct {
	// MediumType is MEM, SSD or HDD.
	// +kubebuilder:validation:Enum=MEM;SSD;HDD
	// +required
	MediumType MediumType `json:"mediumtype"`

	// VolumeType is hostPath, which is the default, or emptyDir.
	// +kubebuilder:validation:Enum=hostPath;emptyDir
	// +optional
	VolumeType VolumeType `json:"volumeType,omitempty"`

	// VolumeSource of an emptyDir.
	// +optional
	VolumeSource VolumeSource `json:"volumeSource,omitempty"`

	// Path of the tier, or several with commas between them.
	// +optional
	Path string `json:"path,omitempty"`

	// Quota of the whole tier, shared equally among its paths: 2G, 100Gi.
	// +optional
	Quota Quota `json:"quota,omitempty"`

	// QuotaList holds a quota for each path, with commas between them.
	// +optional
	QuotaList string `json:"quotaList,omitempty"`

	// High is the part of the quota at which eviction begins.
	// +optional
	High string `json:"high,omitempty"`

	// Low is the part of the quota at which eviction ends.
	// +optional
	Low string `json:"low,omitempty"`
}

// VolumeSource is a volume as pods have it.
type VolumeSource struct {
	corev1.VolumeSource `json:",inline"`
}

// MediumType is what a tier stores bytes on.
type MediumType string

// Media of tiers.
const (
	MediumMEM MediumType = "MEM"
	MediumSSD MediumType = "SSD"
	MediumHDD MediumType = "HDD"
)

// VolumeType is how a tier's path gets into a pod.
type VolumeType string

// Types of volumes.
const (
	VolumeHostPath VolumeType = "hostPath"
	VolumeEmptyDir VolumeType = "emptyDir"
)
