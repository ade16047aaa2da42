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

// JindoRuntime is a distributed cache that serves a Dataset. It consists of
// masters, workers and FUSE servers.
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 37 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name is not a valid name for pods: write at most 37 lower-case letters, digits and '-', starting with a letter and not ending in '-', such as hadoop"
type JindoRuntime struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   JindoRuntimeSpec `json:"spec,omitempty"`
	Status RuntimeStatus    `json:"status,omitempty"`
}

// +kubebuilder:object:root=true

// JindoRuntimeList is a list of JindoRuntimes.
type JindoRuntimeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []JindoRuntime `json:"items"`
}

// JindoRuntimeSpec is the desired state of a JindoRuntime.
// +kubebuilder:validation:XValidation:rule="!has(self.labels) || size(self.labels) == 0 || !has(self.podMetadata) || !has(self.podMetadata.labels) || size(self.podMetadata.labels) == 0",message="labels and podMetadata.labels are mutually exclusive: write them all under podMetadata.labels",reason=FieldValueForbidden,fieldPath=".labels"
// +kubebuilder:validation:XValidation:rule="(has(self.master) && has(self.master.disabled) && self.master.disabled) == (has(self.worker) && has(self.worker.disabled) && self.worker.disabled)",message="masters and workers must be disabled together: write disabled: true for both, for mounts that read the store directly, or for neither"
// +kubebuilder:validation:XValidation:rule="!(has(self.master) && has(self.master.disabled) && self.master.disabled && has(self.worker) && has(self.worker.disabled) && self.worker.disabled && has(self.fuse) && has(self.fuse.disabled) && self.fuse.disabled)",message="no component is enabled: omit fuse.disabled, or delete the runtime"
type JindoRuntimeSpec struct {
	// JindoVersion specifies the image of masters and workers.
	// +optional
	JindoVersion VersionSpec `json:"jindoVersion,omitempty"`

	// Master configures the masters.
	// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas in [1, 3]",message="must be 1 or 3: write 3 so that one master may fail, or 1, or omit it for 1",fieldPath=".replicas"
	// +optional
	Master JindoCompTemplateSpec `json:"master,omitempty"`

	// Worker configures the workers.
	// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas >= 1",message="not a valid number of workers: omit it and write spec.replicas",fieldPath=".replicas"
	// +optional
	Worker JindoCompTemplateSpec `json:"worker,omitempty"`

	// Fuse configures the FUSE servers, which provide the mounts.
	// +optional
	Fuse JindoFuseSpec `json:"fuse,omitempty"`

	// Properties of all components.
	// +optional
	Properties map[string]string `json:"properties,omitempty"`

	// TieredStore configures the storage on which each worker caches data.
	// Defaults to 1Gi of memory.
	// +optional
	TieredStore TieredStore `json:"tieredstore,omitempty"`

	// Replicas is the number of workers, at most 500. Defaults to 1.
	// +kubebuilder:default=1
	// +kubebuilder:validation:XValidation:rule="self >= 1",message="not a valid number of workers: write 1 or more, or write worker.disabled: true and master.disabled: true for mounts without a cache"
	// +kubebuilder:validation:XValidation:rule="self <= 500",message="more workers than one runtime may have: write 500 or fewer, with larger quotas, or create several runtimes"
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// RunAs is the user that the processes run as.
	// +optional
	RunAs *User `json:"runAs,omitempty"`

	// User is the name of the user that the processes run as.
	// +optional
	User string `json:"user,omitempty"`

	// HadoopConfig is the name of a ConfigMap with hdfs-site.xml or core-site.xml.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",message="not a valid object name: write lower-case letters, digits, '-' and '.'"
	// +optional
	HadoopConfig string `json:"hadoopConfig,omitempty"`

	// Secret is the name of a Secret with the keys AccessKeyId, AccessKeySecret
	// and, for temporary credentials, SecurityToken. It is used for mounts without
	// credentials of their own.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",message="not a valid object name: write lower-case letters, digits, '-' and '.'"
	// +optional
	Secret string `json:"secret,omitempty"`

	// Labels are added to all pods. Deprecated: use podMetadata.labels.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// PodMetadata is added to all pods.
	// +optional
	PodMetadata PodMetadata `json:"podMetadata,omitempty"`

	// LogConfig sets log levels.
	// +optional
	LogConfig map[string]string `json:"logConfig,omitempty"`

	// NetworkMode is HostNetwork or ContainerNetwork. HostNetwork is not supported
	// yet: pods have a network of their own. Defaults to ContainerNetwork.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['ContainerNetwork', 'HostNetwork']",message="unsupported value: write ContainerNetwork or HostNetwork, or omit it"
	// +optional
	NetworkMode NetworkMode `json:"networkmode,omitempty"`

	// CleanCachePolicy configures how the cache is deleted with the runtime.
	// +optional
	CleanCachePolicy CleanCachePolicy `json:"cleanCachePolicy,omitempty"`

	// Volumes are available to the volumeMounts of masters and workers.
	// +optional
	Volumes []corev1.Volume `json:"volumes,omitempty"`

	// ImagePullSecrets are used by all pods.
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
}

// JindoCompTemplateSpec configures the masters or the workers.
// +kubebuilder:validation:XValidation:rule="!has(self.labels) || size(self.labels) == 0 || !has(self.podMetadata) || !has(self.podMetadata.labels) || size(self.podMetadata.labels) == 0",message="labels and podMetadata.labels are mutually exclusive: write them all under podMetadata.labels",reason=FieldValueForbidden,fieldPath=".labels"
type JindoCompTemplateSpec struct {
	// Replicas, of spec.master, is the number of masters: 1 or 3. Defaults to 1.
	// Of spec.worker it has no effect: spec.replicas is the number of workers.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// Properties of the component.
	// +optional
	Properties map[string]string `json:"properties,omitempty"`

	// Ports of the component.
	// +optional
	Ports map[string]int `json:"ports,omitempty"`

	// Resources of each pod. A CPU limit of the masters makes their election
	// timeout longer.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`

	// Env holds environment variables of the component.
	// +optional
	Env map[string]string `json:"env,omitempty"`

	// NodeSelector of the pods.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations of the pods.
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// Labels are added to the pods. Deprecated: use podMetadata.labels.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// PodMetadata is added to the pods.
	// +optional
	PodMetadata PodMetadata `json:"podMetadata,omitempty"`

	// StorageClassName is the storage class of the volume on which each master
	// stores its Raft log. Defaults to a volume on the first hostPath of the tiered
	// store, or to the default storage class if there is no hostPath.
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`

	// Disabled omits the component. Runtimes without masters
	// and workers are not supported yet.
	// +optional
	Disabled bool `json:"disabled,omitempty"`

	// VolumeMounts mount volumes of spec.volumes.
	// +optional
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`

	// ImagePullSecrets are used by the pods.
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// Snapshots, of spec.master, schedules snapshots of the masters' state, which a
	// worker writes to a mount of the Dataset. Defaults to none. Of spec.worker it has
	// no effect.
	// +optional
	Snapshots *SnapshotSchedule `json:"snapshots,omitempty"`
}

// SnapshotSchedule configures scheduled snapshots of the masters' state.
type SnapshotSchedule struct {
	// Mount is the name of the mount of the Dataset that snapshots are written to. The
	// mount must not be read-only.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-_A-Za-z0-9.]*[-_A-Za-z0-9][-_A-Za-z0-9.]*$')",message="not a valid name of a mount: write the name of a mount of the Dataset that is not read-only"
	Mount string `json:"mount"`

	// Prefix of the objects, below that of the mount. Defaults to jindo-snapshots.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^([-_A-Za-z0-9.]*[-_A-Za-z0-9][-_A-Za-z0-9.]*/)*[-_A-Za-z0-9.]*[-_A-Za-z0-9][-_A-Za-z0-9.]*$')",message="not a valid prefix: write names of letters, digits, '-', '_' and '.', with one '/' between two of them and none at the ends, such as backup/masters"
	// +optional
	Prefix string `json:"prefix,omitempty"`

	// Interval is the time between two snapshots, from 10m to 8784h. Defaults to 1h.
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || (self.matches('^([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$') && duration(self) >= duration('10m') && duration(self) <= duration('8784h'))",message="not a valid interval: write hours, minutes and seconds from 10m to 8784h, such as 6h or 1h30m"
	// +optional
	Interval string `json:"interval,omitempty"`

	// Keep is how many snapshots are kept, from 1 to 1000. Defaults to 24.
	// +kubebuilder:validation:XValidation:rule="self >= 1 && self <= 1000",message="must be 1 to 1000: write how many snapshots are kept, or omit it for 24"
	// +optional
	Keep *int32 `json:"keep,omitempty"`
}

// JindoFuseSpec configures the FUSE servers.
// +kubebuilder:validation:XValidation:rule="!has(self.labels) || size(self.labels) == 0 || !has(self.podMetadata) || !has(self.podMetadata.labels) || size(self.podMetadata.labels) == 0",message="labels and podMetadata.labels are mutually exclusive: write them all under podMetadata.labels",reason=FieldValueForbidden,fieldPath=".labels"
type JindoFuseSpec struct {
	// Image name without its tag.
	// +optional
	Image string `json:"image,omitempty"`

	// ImageTag is the tag of the image.
	// +optional
	ImageTag string `json:"imageTag,omitempty"`

	// ImagePullPolicy is Always, IfNotPresent or Never.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['Always', 'IfNotPresent', 'Never']",message="unsupported value: write Always, IfNotPresent or Never, or omit it"
	// +optional
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`

	// ImagePullSecrets are used by the pods.
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// Properties of the FUSE server.
	// +optional
	Properties map[string]string `json:"properties,omitempty"`

	// Env holds environment variables of the FUSE server.
	// +optional
	Env map[string]string `json:"env,omitempty"`

	// Resources of each pod.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`

	// Args are mount options, such as -oattr_timeout=60, or -oimmutable for files that
	// are never replaced.
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !arg.matches('(attr|entry|negative)_timeout=([^0-9.]|$)'))",message="contain an invalid timeout: write a number of seconds, like -oattr_timeout=60"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !arg.matches('(^-o *|^|,)[ug]id=([^0-9]|$)'))",message="contain an invalid uid or gid: write a number, like -ouid=1000"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !arg.matches('(^-o *|^|,)immutable='))",message="contain a value of immutable: write -oimmutable, or omit the option if files are replaced"
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self[size(self) - 1] != '-o'",message="end in -o without an option: write -oattr_timeout=60 in one word"
	// +optional
	Args []string `json:"args,omitempty"`

	// NodeSelector of the pods.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations of the pods.
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// Labels are added to the pods. Deprecated: use podMetadata.labels.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// PodMetadata is added to the pods.
	// +optional
	PodMetadata PodMetadata `json:"podMetadata,omitempty"`

	// CleanPolicy determines when an unused FUSE server is removed:
	// OnRuntimeDeleted, OnDemand or OnFuseChanged, which has the effect of
	// OnRuntimeDeleted. Defaults to OnRuntimeDeleted.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['OnRuntimeDeleted', 'OnDemand', 'OnFuseChanged']",message="unsupported value: write OnRuntimeDeleted, OnDemand or OnFuseChanged, or omit it"
	// +optional
	CleanPolicy FuseCleanPolicy `json:"cleanPolicy,omitempty"`

	// Disabled omits the FUSE servers.
	// +optional
	Disabled bool `json:"disabled,omitempty"`

	// LogConfig sets log levels.
	// +optional
	LogConfig map[string]string `json:"logConfig,omitempty"`

	// Metrics of the FUSE server.
	// +optional
	Metrics ClientMetrics `json:"metrics,omitempty"`
}

// ClientMetrics configures the metrics of FUSE servers.
type ClientMetrics struct {
	// Enabled exposes the metrics.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// ScrapeTarget is a comma-separated list of MountPod, Sidecar, All and None.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^( *(MountPod|Sidecar|All|None)? *(,|$))*$')",message="contains an unsupported scrape target: write MountPod, Sidecar, All or None, with commas between several"
	// +optional
	ScrapeTarget string `json:"scrapeTarget,omitempty"`
}

// CleanCachePolicy configures how the cache is deleted with the runtime.
type CleanCachePolicy struct {
	// GracePeriodSeconds is the time to wait for the deletion. Defaults to 60.
	// +kubebuilder:validation:XValidation:rule="self >= 0",message="must not be negative: write 0 or more, or omit it"
	// +optional
	GracePeriodSeconds *int32 `json:"gracePeriodSeconds,omitempty"`

	// MaxRetryAttempts is the number of retries. Defaults to 3.
	// +kubebuilder:validation:XValidation:rule="self >= 0",message="must not be negative: write 0 or more, or omit it"
	// +optional
	MaxRetryAttempts *int32 `json:"maxRetryAttempts,omitempty"`
}

// NetworkMode is the network that pods use.
type NetworkMode string

// Network modes. The default is ContainerNetworkMode.
const (
	DefaultNetworkMode   NetworkMode = ""
	HostNetworkMode      NetworkMode = "HostNetwork"
	ContainerNetworkMode NetworkMode = "ContainerNetwork"
)

// FuseCleanPolicy determines when an unused FUSE server is removed.
type FuseCleanPolicy string

// Clean policies. The default is OnRuntimeDeletedCleanPolicy.
const (
	OnRuntimeDeletedCleanPolicy FuseCleanPolicy = "OnRuntimeDeleted"
	OnDemandCleanPolicy         FuseCleanPolicy = "OnDemand"
	OnFuseChangedCleanPolicy    FuseCleanPolicy = "OnFuseChanged"
)
