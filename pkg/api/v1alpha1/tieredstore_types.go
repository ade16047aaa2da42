package v1alpha1

import corev1 "k8s.io/api/core/v1"

// TieredStore configures the storage on which each worker caches data.
type TieredStore struct {
	// Levels are the tiers of the cache, the fastest first.
	// +kubebuilder:validation:MaxItems=6
	// +optional
	Levels []Level `json:"levels,omitempty"`
}

// Level is one tier: a medium, its paths and their quota.
// +kubebuilder:validation:XValidation:rule="has(self.mediumtype) && self.mediumtype in ['MEM', 'SSD', 'HDD']",message="unsupported mediumtype: write MEM, SSD or HDD",fieldPath=".mediumtype"
// +kubebuilder:validation:XValidation:rule="!has(self.quotaList) || size(self.quotaList) == 0 || !has(self.quota) || type(self.quota) == string && size(self.quota) == 0",message="quota and quotaList are mutually exclusive: write quota to share it equally among the paths, or quotaList for each path its own",reason=FieldValueForbidden,fieldPath=".quotaList"
// +kubebuilder:validation:XValidation:rule="has(self.quota) && (type(self.quota) == int || size(self.quota) > 0) || has(self.quotaList) && size(self.quotaList) > 0",message="a tier requires a quota: write quota: 100Gi, or a quotaList with an entry for each path",reason=FieldValueRequired,fieldPath=".quota"
// +kubebuilder:validation:XValidation:rule="!has(self.quotaList) || size(self.quotaList) == 0 || self.quotaList.split(',').size() == (has(self.path) ? self.path.split(',').size() : 1)",message="quotaList and path differ in length: write an entry for each path, with commas between them",fieldPath=".quotaList"
// +kubebuilder:validation:XValidation:rule="has(self.path) && size(self.path) > 0 || has(self.mediumtype) && self.mediumtype == 'MEM'",message="a tier on a disk needs a directory: write path: /mnt/disk1",reason=FieldValueRequired,fieldPath=".path"
// +kubebuilder:validation:XValidation:rule="!(!has(self.high) || size(self.high) == 0 ? '0.95' : self.high.trim()).matches('^ *(0*[.]0*[1-9][0-9]*|0*1([.]0*)?) *$') || !(!has(self.low) || size(self.low) == 0 ? '0.9' : self.low.trim()).matches('^ *(0*[.]0*[1-9][0-9]*|0*1([.]0*)?) *$') || double((!has(self.low) || size(self.low) == 0 ? '0.9' : self.low.trim())) < double((!has(self.high) || size(self.high) == 0 ? '0.95' : self.high.trim()))",message=`low is not below high: write a low below high, such as high: "0.8" and low: "0.7" (high defaults to 0.95 and low to 0.9)`,fieldPath=".low"
type Level struct {
	// MediumType is MEM, SSD or HDD.
	// +kubebuilder:validation:MaxLength=32
	// +optional
	MediumType MediumType `json:"mediumtype"`

	// VolumeType is hostPath or emptyDir. Defaults to hostPath.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['hostPath', 'emptyDir']",message="unsupported value: write hostPath or emptyDir, or omit it"
	// +optional
	VolumeType VolumeType `json:"volumeType,omitempty"`

	// VolumeSource of an emptyDir.
	// +optional
	VolumeSource VolumeSource `json:"volumeSource,omitempty"`

	// Path of the tier, or a comma-separated list of paths. Defaults to /dev/shm
	// for the medium MEM.
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^( */[^,:]* *)(, */[^,:]* *)*$')",message="contains a relative path or a colon: write paths such as /mnt/disk1,/mnt/disk2"
	// +kubebuilder:validation:XValidation:rule="!self.matches('//+[^/, ]|(^|/)[.][.]?(/|,| |$)')",message="contains a path that is not clean: write paths without //, . and .., such as /mnt/disk1"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|,) */+ *(,|$)')",message="contains the root of the file system: write a directory for the cache alone, such as /mnt/disk1"
	// +optional
	Path string `json:"path,omitempty"`

	// Quota of the whole tier, divided equally among its paths: 2G, 100Gi.
	// +optional
	Quota Quota `json:"quota,omitempty"`

	// QuotaList is a comma-separated list with a quota for each path.
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^ *[0-9]+([.][0-9]+)?([KkMmGgTtPpEe][iI]?)? *(, *[0-9]+([.][0-9]+)?([KkMmGgTtPpEe][iI]?)? *)*$')",message="contains an entry that is not a valid size: write numbers with K, M, G, T or P (thousands) or Ki, Mi, Gi, Ti or Pi (1024s), such as 2G,100Gi"
	// +optional
	QuotaList string `json:"quotaList,omitempty"`

	// High is the fraction of the quota at which eviction starts. Defaults to
	// 0.95.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^( *(0*[.]0*[1-9][0-9]*|0*1([.]0*)?) *| *)$')",message=`not a valid ratio: write a number above 0 and at most 1, such as "0.8"`
	// +optional
	High string `json:"high,omitempty"`

	// Low is the fraction of the quota at which eviction stops. Defaults to 0.9.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^( *(0*[.]0*[1-9][0-9]*|0*1([.]0*)?) *| *)$')",message=`not a valid ratio: write a number above 0 and at most 1, such as "0.8"`
	// +optional
	Low string `json:"low,omitempty"`
}

// VolumeSource is the volume source of a pod.
type VolumeSource struct {
	corev1.VolumeSource `json:",inline"`
}

// MediumType is the storage medium of a tier.
type MediumType string

// Media of tiers.
const (
	MediumMEM MediumType = "MEM"
	MediumSSD MediumType = "SSD"
	MediumHDD MediumType = "HDD"
)

// VolumeType is the type of the volume that provides the paths of a tier.
type VolumeType string

// Volume types. The default is VolumeHostPath.
const (
	VolumeHostPath VolumeType = "hostPath"
	VolumeEmptyDir VolumeType = "emptyDir"
)
