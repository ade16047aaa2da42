package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.currentWorkerNumberScheduled,selectorpath=.status.selector
// +kubebuilder:resource:scope=Namespaced,categories={fluid},shortName=jindo
// +kubebuilder:printcolumn:name="Ready Masters",type="integer",JSONPath=`.status.masterNumberReady`,priority=10
// +kubebuilder:printcolumn:name="Desired Masters",type="integer",JSONPath=`.status.desiredMasterNumberScheduled`,priority=10
// +kubebuilder:printcolumn:name="Master Phase",type="string",JSONPath=`.status.masterPhase`
// +kubebuilder:printcolumn:name="Ready Workers",type="integer",JSONPath=`.status.workerNumberReady`,priority=10
// +kubebuilder:printcolumn:name="Desired Workers",type="integer",JSONPath=`.status.desiredWorkerNumberScheduled`,priority=10
// +kubebuilder:printcolumn:name="Worker Phase",type="string",JSONPath=`.status.workerPhase`
// +kubebuilder:printcolumn:name="Ready Fuses",type="integer",JSONPath=`.status.fuseNumberReady`,priority=10
// +kubebuilder:printcolumn:name="Desired Fuses",type="integer",JSONPath=`.status.desiredFuseNumberScheduled`,priority=10
// +kubebuilder:printcolumn:name="Fuse Phase",type="string",JSONPath=`.status.fusePhase`
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Leader",type="string",JSONPath=`.status.raft.leader`,priority=1
// +kubebuilder:printcolumn:name="Term",type="integer",JSONPath=`.status.raft.term`,priority=1
// +kubebuilder:printcolumn:name="Cached",type="string",JSONPath=`.status.cacheStates.cached`,priority=1
// +kubebuilder:printcolumn:name="Cache Capacity",type="string",JSONPath=`.status.cacheStates.cacheCapacity`,priority=1
// +kubebuilder:printcolumn:name="Message",type="string",JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1

// JindoRuntime is a cache: masters, workers and mounts that serve a Dataset.
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 37 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name cannot be part of the names of pods: write at most 37 lower-case letters, digits and '-', starting with a letter and not ending in '-', such as hadoop"
type JindoRuntime struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   JindoRuntimeSpec `json:"spec,omitempty"`
	Status RuntimeStatus    `json:"status,omitempty"`
}

// +kubebuilder:object:root=true

// JindoRuntimeList is several JindoRuntimes.
type JindoRuntimeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []JindoRuntime `json:"items"`
}

// JindoRuntimeSpec is what a person wants of a JindoRuntime.
// +kubebuilder:validation:XValidation:rule="!has(self.labels) || size(self.labels) == 0 || !has(self.podMetadata) || !has(self.podMetadata.labels) || size(self.podMetadata.labels) == 0",message="labels and podMetadata.labels exclude each other: write them all under podMetadata.labels",reason=FieldValueForbidden,fieldPath=".labels"
// +kubebuilder:validation:XValidation:rule="(has(self.master) && has(self.master.disabled) && self.master.disabled) == (has(self.worker) && has(self.worker.disabled) && self.worker.disabled)",message="masters and workers need each other: write disabled: true for both, for mounts that read the store themselves, or for neither"
// +kubebuilder:validation:XValidation:rule="!(has(self.master) && has(self.master.disabled) && self.master.disabled && has(self.worker) && has(self.worker.disabled) && self.worker.disabled && has(self.fuse) && has(self.fuse.disabled) && self.fuse.disabled)",message="nothing is left to run: leave fuse.disabled out, or delete the runtime"
type JindoRuntimeSpec struct {
	// JindoVersion is the image of masters and workers.
	// +optional
	JindoVersion VersionSpec `json:"jindoVersion,omitempty"`

	// Master says how the masters run.
	// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas in [1, 3]",message="must be 1 or 3: write 3 so that one master may fail, or 1, or leave it out for 1",fieldPath=".replicas"
	// +optional
	Master JindoCompTemplateSpec `json:"master,omitempty"`

	// Worker says how the workers run.
	// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas >= 1",message="is no number of workers: leave it out and write spec.replicas",fieldPath=".replicas"
	// +optional
	Worker JindoCompTemplateSpec `json:"worker,omitempty"`

	// Fuse says how the mounts run.
	// +optional
	Fuse JindoFuseSpec `json:"fuse,omitempty"`

	// Properties of the whole system.
	// +optional
	Properties map[string]string `json:"properties,omitempty"`

	// TieredStore says what each worker caches on.
	// +optional
	TieredStore TieredStore `json:"tieredstore,omitempty"`

	// Replicas is the number of workers; 1 when it is not given.
	// +kubebuilder:default=1
	// +kubebuilder:validation:XValidation:rule="self >= 1",message="is no number of workers: write 1 or more, or write worker.disabled: true and master.disabled: true for mounts without a cache"
	// +kubebuilder:validation:XValidation:rule="self <= 500",message="is more workers than one runtime may have: write 500 or fewer, with larger quotas, or make several runtimes"
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// RunAs is the user that the processes run as.
	// +optional
	RunAs *User `json:"runAs,omitempty"`

	// User that the processes run as, by name.
	// +optional
	User string `json:"user,omitempty"`

	// HadoopConfig names a ConfigMap with hdfs-site.xml or core-site.xml.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",message="cannot be the name of an object: write lower-case letters, digits, '-' and '.'"
	// +optional
	HadoopConfig string `json:"hadoopConfig,omitempty"`

	// Secret names a Secret with AccessKeyId, AccessKeySecret and, for
	// temporary credentials, SecurityToken, for mounts that bring none.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",message="cannot be the name of an object: write lower-case letters, digits, '-' and '.'"
	// +optional
	Secret string `json:"secret,omitempty"`

	// Labels of all pods. Deprecated: write podMetadata.labels.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// PodMetadata of all pods.
	// +optional
	PodMetadata PodMetadata `json:"podMetadata,omitempty"`

	// LogConfig sets log levels.
	// +optional
	LogConfig map[string]string `json:"logConfig,omitempty"`

	// NetworkMode is HostNetwork or ContainerNetwork, which is the default.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['ContainerNetwork', 'HostNetwork']",message="is not one of the values there are: write ContainerNetwork or HostNetwork, or leave it out"
	// +optional
	NetworkMode NetworkMode `json:"networkmode,omitempty"`

	// CleanCachePolicy says how the cache is deleted with the runtime.
	// +optional
	CleanCachePolicy CleanCachePolicy `json:"cleanCachePolicy,omitempty"`

	// Volumes that master.volumeMounts may refer to.
	// +optional
	Volumes []corev1.Volume `json:"volumes,omitempty"`

	// ImagePullSecrets of all pods.
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
}

// JindoCompTemplateSpec says how masters, or workers, run.
// +kubebuilder:validation:XValidation:rule="!has(self.labels) || size(self.labels) == 0 || !has(self.podMetadata) || !has(self.podMetadata.labels) || size(self.podMetadata.labels) == 0",message="labels and podMetadata.labels exclude each other: write them all under podMetadata.labels",reason=FieldValueForbidden,fieldPath=".labels"
type JindoCompTemplateSpec struct {
	// Replicas of the masters: 1 or 3; 1 when it is not given. The number of
	// workers is spec.replicas.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// Properties of the component.
	// +optional
	Properties map[string]string `json:"properties,omitempty"`

	// Ports of the component.
	// +optional
	Ports map[string]int `json:"ports,omitempty"`

	// Resources of each pod. Where the masters' CPU is limited, they wait longer
	// for each other before they elect a leader.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`

	// Env are environment variables of the component.
	// +optional
	Env map[string]string `json:"env,omitempty"`

	// NodeSelector of the pods.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations of the pods.
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// Labels of the pods. Deprecated: write podMetadata.labels.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// PodMetadata of the pods.
	// +optional
	PodMetadata PodMetadata `json:"podMetadata,omitempty"`

	// StorageClassName of the volume that each master keeps its log on. Without
	// it the volume lies on the first hostPath of the tiered store, or where
	// that has none in the cluster's default class.
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`

	// Disabled leaves the component out. With masters and workers left out,
	// mounts read the store themselves.
	// +optional
	Disabled bool `json:"disabled,omitempty"`

	// VolumeMounts of the volumes in spec.volumes.
	// +optional
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`

	// ImagePullSecrets of the pods.
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
}

// JindoFuseSpec says how the mounts run.
// +kubebuilder:validation:XValidation:rule="!has(self.labels) || size(self.labels) == 0 || !has(self.podMetadata) || !has(self.podMetadata.labels) || size(self.podMetadata.labels) == 0",message="labels and podMetadata.labels exclude each other: write them all under podMetadata.labels",reason=FieldValueForbidden,fieldPath=".labels"
type JindoFuseSpec struct {
	// Image without its tag.
	// +optional
	Image string `json:"image,omitempty"`

	// ImageTag of the image.
	// +optional
	ImageTag string `json:"imageTag,omitempty"`

	// ImagePullPolicy is Always, IfNotPresent or Never.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['Always', 'IfNotPresent', 'Never']",message="is not one of the values there are: write Always, IfNotPresent or Never, or leave it out"
	// +optional
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`

	// ImagePullSecrets of the pods.
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// Properties of the mount.
	// +optional
	Properties map[string]string `json:"properties,omitempty"`

	// Env are environment variables of the mount's server.
	// +optional
	Env map[string]string `json:"env,omitempty"`

	// Resources of each pod.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`

	// Args of the mount, such as -oattr_timeout=60.
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !arg.matches('(attr|entry|negative)_timeout=([^0-9.]|$)'))",message="hold a timeout that is no time in seconds: write it like -oattr_timeout=60"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !arg.matches('(^-o *|^|,)[ug]id=([^0-9]|$)'))",message="hold a uid or gid that is no id: write it like -ouid=1000, a number"
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self[size(self) - 1] != '-o'",message="end in -o with no option behind it: write -oattr_timeout=60 in one word"
	// +optional
	Args []string `json:"args,omitempty"`

	// NodeSelector of the pods.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations of the pods.
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// Labels of the pods. Deprecated: write podMetadata.labels.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// PodMetadata of the pods.
	// +optional
	PodMetadata PodMetadata `json:"podMetadata,omitempty"`

	// CleanPolicy says when a mount's server that nobody uses is removed.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['OnRuntimeDeleted', 'OnDemand', 'OnFuseChanged']",message="is not one of the values there are: write OnRuntimeDeleted, OnDemand or OnFuseChanged, or leave it out"
	// +optional
	CleanPolicy FuseCleanPolicy `json:"cleanPolicy,omitempty"`

	// Disabled leaves the mounts out.
	// +optional
	Disabled bool `json:"disabled,omitempty"`

	// LogConfig sets log levels.
	// +optional
	LogConfig map[string]string `json:"logConfig,omitempty"`

	// Metrics of the mount's server.
	// +optional
	Metrics ClientMetrics `json:"metrics,omitempty"`
}

// ClientMetrics says whether mounts offer metrics.
type ClientMetrics struct {
	// Enabled offers them.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// ScrapeTarget is a comma list of MountPod, Sidecar, All and None.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^( *(MountPod|Sidecar|All|None)? *(,|$))*$')",message="holds nothing that can be scraped: write MountPod, Sidecar, All or None, with commas between several"
	// +optional
	ScrapeTarget string `json:"scrapeTarget,omitempty"`
}

// CleanCachePolicy says how the cache is deleted with the runtime.
type CleanCachePolicy struct {
	// GracePeriodSeconds to wait for it; 60 when not given.
	// +kubebuilder:validation:XValidation:rule="self >= 0",message="is below zero: write 0 or more, or leave it out"
	// +optional
	GracePeriodSeconds *int32 `json:"gracePeriodSeconds,omitempty"`

	// MaxRetryAttempts to make; 3 when not given.
	// +kubebuilder:validation:XValidation:rule="self >= 0",message="is below zero: write 0 or more, or leave it out"
	// +optional
	MaxRetryAttempts *int32 `json:"maxRetryAttempts,omitempty"`
}

// NetworkMode says whose network pods are in.
type NetworkMode string

// Network modes. The default is the containers' own network.
const (
	DefaultNetworkMode   NetworkMode = ""
	HostNetworkMode      NetworkMode = "HostNetwork"
	ContainerNetworkMode NetworkMode = "ContainerNetwork"
)

// FuseCleanPolicy says when a mount's server that nobody uses is removed.
type FuseCleanPolicy string

// Clean policies. The default is OnRuntimeDeleted.
const (
	OnRuntimeDeletedCleanPolicy FuseCleanPolicy = "OnRuntimeDeleted"
	OnDemandCleanPolicy         FuseCleanPolicy = "OnDemand"
	OnFuseChangedCleanPolicy    FuseCleanPolicy = "OnFuseChanged"
)
