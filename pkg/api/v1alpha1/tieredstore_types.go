package v1alpha1

import corev1 "k8s.io/api/core/v1"

// TieredStore says what each worker caches on.
type TieredStore struct {
	// Levels of the cache, the fastest first.
	// +kubebuilder:validation:MaxItems=6
	// +optional
	Levels []Level `json:"levels,omitempty"`
}

// Level is one tier: a medium, its paths and how much of them may be used.
// +kubebuilder:validation:XValidation:rule="has(self.mediumtype) && self.mediumtype in ['MEM', 'SSD', 'HDD']",message="mediumtype is not one of the values there are: write MEM, SSD or HDD",fieldPath=".mediumtype"
// +kubebuilder:validation:XValidation:rule="!has(self.quotaList) || size(self.quotaList) == 0 || !has(self.quota) || type(self.quota) == string && size(self.quota) == 0",message="quota and quotaList exclude each other: write quota to share it equally among the paths, or quotaList for each path its own",reason=FieldValueForbidden,fieldPath=".quotaList"
// +kubebuilder:validation:XValidation:rule="has(self.quota) && (type(self.quota) == int || size(self.quota) > 0) || has(self.quotaList) && size(self.quotaList) > 0",message="a tier needs to know how much it may use: write quota: 100Gi, or a quotaList with an entry for each path",reason=FieldValueRequired,fieldPath=".quota"
// +kubebuilder:validation:XValidation:rule="!has(self.quotaList) || size(self.quotaList) == 0 || self.quotaList.split(',').size() == (has(self.path) ? self.path.split(',').size() : 1)",message="quotaList and path differ in length: write an entry for each path, with commas between them",fieldPath=".quotaList"
// +kubebuilder:validation:XValidation:rule="has(self.path) && size(self.path) > 0 || has(self.mediumtype) && self.mediumtype == 'MEM'",message="a tier on a disk needs a directory: write path: /mnt/disk1",reason=FieldValueRequired,fieldPath=".path"
// +kubebuilder:validation:XValidation:rule="!(!has(self.high) || size(self.high) == 0 ? '0.95' : self.high.trim()).matches('^ *(0*[.]0*[1-9][0-9]*|0*1([.]0*)?) *$') || !(!has(self.low) || size(self.low) == 0 ? '0.9' : self.low.trim()).matches('^ *(0*[.]0*[1-9][0-9]*|0*1([.]0*)?) *$') || double((!has(self.low) || size(self.low) == 0 ? '0.9' : self.low.trim())) < double((!has(self.high) || size(self.high) == 0 ? '0.95' : self.high.trim()))",message=`low is not below high: write a low below high, such as high: "0.8" and low: "0.7" (left out, high is 0.95 and low 0.9)`,fieldPath=".low"
type Level struct {
	// MediumType is MEM, SSD or HDD.
	// +kubebuilder:validation:MaxLength=32
	// +optional
	MediumType MediumType `json:"mediumtype"`

	// VolumeType is hostPath, which is the default, or emptyDir.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['hostPath', 'emptyDir']",message="is not one of the values there are: write hostPath or emptyDir, or leave it out"
	// +optional
	VolumeType VolumeType `json:"volumeType,omitempty"`

	// VolumeSource of an emptyDir.
	// +optional
	VolumeSource VolumeSource `json:"volumeSource,omitempty"`

	// Path of the tier, or several with commas between them.
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^( */[^,:]* *)(, */[^,:]* *)*$')",message="holds what is no absolute path, or a colon: write paths such as /mnt/disk1,/mnt/disk2"
	// +kubebuilder:validation:XValidation:rule="!self.matches('//+[^/, ]|(^|/)[.][.]?(/|,| |$)')",message="holds a path that is not clean: write paths without //, . and .., such as /mnt/disk1"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|,) */+ *(,|$)')",message="holds the root of the file system: write a directory for the cache alone, such as /mnt/disk1"
	// +optional
	Path string `json:"path,omitempty"`

	// Quota of the whole tier, shared equally among its paths: 2G, 100Gi.
	// +optional
	Quota Quota `json:"quota,omitempty"`

	// QuotaList holds a quota for each path, with commas between them.
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^ *[0-9]+([.][0-9]+)?([KkMmGgTtPpEe][iI]?)? *(, *[0-9]+([.][0-9]+)?([KkMmGgTtPpEe][iI]?)? *)*$')",message="holds an entry that is no amount of bytes: write numbers with K, M, G, T or P (thousands) or Ki, Mi, Gi, Ti or Pi (1024s), such as 2G,100Gi"
	// +optional
	QuotaList string `json:"quotaList,omitempty"`

	// High is the part of the quota at which eviction begins.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^( *(0*[.]0*[1-9][0-9]*|0*1([.]0*)?) *| *)$')",message=`is no ratio: write a number above 0 and at most 1, such as "0.8"`
	// +optional
	High string `json:"high,omitempty"`

	// Low is the part of the quota at which eviction ends.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^( *(0*[.]0*[1-9][0-9]*|0*1([.]0*)?) *| *)$')",message=`is no ratio: write a number above 0 and at most 1, such as "0.8"`
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
