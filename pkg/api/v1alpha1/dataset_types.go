package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={fluid},shortName=dataset
// +kubebuilder:printcolumn:name="Ufs Total Size",type="string",JSONPath=`.status.ufsTotal`
// +kubebuilder:printcolumn:name="Cached",type="string",JSONPath=`.status.cacheStates.cached`
// +kubebuilder:printcolumn:name="Cache Capacity",type="string",JSONPath=`.status.cacheStates.cacheCapacity`
// +kubebuilder:printcolumn:name="Cached Percentage",type="string",JSONPath=`.status.cacheStates.cachedPercentage`
// +kubebuilder:printcolumn:name="Phase",type="string",JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="HCFS URL",type="string",JSONPath=`.status.hcfs.endpoint`,priority=10
// +kubebuilder:printcolumn:name="TOTAL FILES",type="string",JSONPath=`.status.fileNum`,priority=11
// +kubebuilder:printcolumn:name="CACHE HIT RATIO",type="string",JSONPath=`.status.cacheStates.cacheHitRatio`,priority=10
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Runtime",type="string",JSONPath=`.status.runtimes[0].name`,priority=1
// +kubebuilder:printcolumn:name="Message",type="string",JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1

// Dataset describes where data is stored and how it is presented as files.
//
// A Dataset may be served by a JindoRuntime or by another runtime of Fluid, so
// its schema rejects only what Fluid's own schema rejects. The rules of the
// JindoRuntime apply from the moment that a JindoRuntime claims the Dataset: the
// webhook then rejects an invalid Dataset, and the runtime reports it in its
// condition DatasetBound.
type Dataset struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DatasetSpec   `json:"spec,omitempty"`
	Status DatasetStatus `json:"status,omitempty"`
}

// +kubebuilder:object:root=true

// DatasetList is a list of Datasets.
type DatasetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Dataset `json:"items"`
}

// DatasetSpec is the desired state of a Dataset.
type DatasetSpec struct {
	// Mounts are the buckets and directories that make up the file tree, each at
	// its own path. At least one is required.
	// +kubebuilder:validation:XValidation:rule="size(self) > 0",message="is empty: write at least one mount, such as - mountPoint: oss://bucket/"
	// +optional
	Mounts []Mount `json:"mounts,omitempty"`

	// Owner is the user and group that own the files in the mount.
	// +optional
	Owner *User `json:"owner,omitempty"`

	// NodeAffinity restricts the nodes that may cache the data.
	// +optional
	NodeAffinity *CacheableNodeAffinity `json:"nodeAffinity,omitempty"`

	// Tolerations of the masters and workers that serve the data.
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// AccessModes of the volume: ReadOnlyMany, ReadWriteMany, ReadWriteOnce or
	// ReadWriteOncePod. The volume is read-only if ReadOnlyMany is listed.
	// Writing is not supported yet, so the other modes are served read-only too.
	// Defaults to ReadOnlyMany.
	// +optional
	AccessModes []corev1.PersistentVolumeAccessMode `json:"accessModes,omitempty"`

	// Runtimes that serve the data.
	// +optional
	Runtimes []Runtime `json:"runtimes,omitempty"`

	// PlacementMode is Exclusive if a node may cache only this Dataset, or Shared
	// if it may cache others too. Defaults to Exclusive.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['Exclusive', 'Shared']",message="unsupported value: write Exclusive or Shared, or omit it"
	// +optional
	PlacementMode PlacementMode `json:"placement,omitempty"`

	// DataRestoreLocation is where a backup of the metadata is stored.
	// +optional
	DataRestoreLocation *DataRestoreLocation `json:"dataRestoreLocation,omitempty"`

	// SharedOptions apply to every mount that does not set the same option
	// itself.
	// +optional
	SharedOptions map[string]string `json:"sharedOptions,omitempty"`

	// SharedEncryptOptions are options whose values are stored in Secrets. They
	// apply to every mount that does not set the same option itself.
	// +optional
	SharedEncryptOptions []EncryptOption `json:"sharedEncryptOptions,omitempty"`
}

// Mount presents one bucket, prefix or directory at a path of the file tree.
// +kubebuilder:validation:XValidation:rule="has(self.mountPoint) && size(self.mountPoint) > 0",message="write the location of the data, such as oss://bucket/prefix/",reason=FieldValueRequired,fieldPath=".mountPoint"
type Mount struct {
	// MountPoint is the location of the data: oss://bucket/prefix/,
	// s3://bucket/prefix/ or local:///directory.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || size(self) >= 5",message="is too short for a mountPoint: write the location of the data, such as oss://bucket/prefix/"
	// +optional
	MountPoint string `json:"mountPoint,omitempty"`

	// Options of the store and of the mount, such as fs.oss.endpoint and
	// metaPolicy.
	// +optional
	Options map[string]string `json:"options,omitempty"`

	// Name of the mount. Defaults to a name derived from the mountPoint.
	// +optional
	Name string `json:"name,omitempty"`

	// Path in the file tree, absolute. Defaults to /NAME, or to the root of the
	// tree if this is the only mount and it has no name.
	// +optional
	Path string `json:"path,omitempty"`

	// ReadOnly forbids writing to this mount, whatever the accessModes are.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`

	// Shared marks a mount that several users share.
	// +optional
	Shared bool `json:"shared,omitempty"`

	// EncryptOptions are options whose values are stored in Secrets.
	// +optional
	EncryptOptions []EncryptOption `json:"encryptOptions,omitempty"`
}

// EncryptOption is an option whose value is stored in a Secret.
type EncryptOption struct {
	// Name of the option, such as fs.oss.accessKeyId.
	// +optional
	Name string `json:"name,omitempty"`

	// ValueFrom is the source of the value.
	// +optional
	ValueFrom EncryptOptionSource `json:"valueFrom,omitempty"`
}

// EncryptOptionSource is the source of the value of an option.
type EncryptOptionSource struct {
	// SecretKeyRef refers to a key of a Secret in the namespace of the Dataset.
	// +optional
	SecretKeyRef SecretKeySelector `json:"secretKeyRef,omitempty"`
}

// SecretKeySelector selects a key of a Secret.
type SecretKeySelector struct {
	// Name of the Secret.
	// +optional
	Name string `json:"name,omitempty"`

	// Key in the Secret.
	// +optional
	Key string `json:"key,omitempty"`
}

// CacheableNodeAffinity restricts the nodes that may cache the data.
type CacheableNodeAffinity struct {
	// Required specifies the terms that a node must match.
	// +optional
	Required *corev1.NodeSelector `json:"required,omitempty"`
}

// DataRestoreLocation is where a backup of the metadata is stored.
type DataRestoreLocation struct {
	// Path of the backup: local:///directory or pvc://claim/directory.
	// +optional
	Path string `json:"path,omitempty"`

	// NodeName is the node that a local path is on.
	// +optional
	NodeName string `json:"nodeName,omitempty"`
}

// Runtime identifies a runtime that serves a Dataset.
type Runtime struct {
	// Name of the runtime.
	Name string `json:"name,omitempty"`

	// Namespace of the runtime.
	Namespace string `json:"namespace,omitempty"`

	// Category of the runtime: Accelerate.
	Category Category `json:"category,omitempty"`

	// Type of the runtime: jindo.
	Type string `json:"type,omitempty"`

	// MasterReplicas is the number of masters of the runtime.
	MasterReplicas int32 `json:"masterReplicas,omitempty"`
}

// DatasetStatus is the observed state of a Dataset.
type DatasetStatus struct {
	// Mounts that are in place.
	Mounts []Mount `json:"mounts,omitempty"`

	// UfsTotal is the total size of the files in the store.
	UfsTotal string `json:"ufsTotal,omitempty"`

	// VolumeName is the name of the PersistentVolume of the Dataset: NAMESPACE-NAME, with a
	// digest if another Dataset has the same.
	// +optional
	VolumeName string `json:"volumeName,omitempty"`

	// Phase of the Dataset.
	Phase DatasetPhase `json:"phase,omitempty"`

	// Runtimes that serve the Dataset.
	Runtimes []Runtime `json:"runtimes,omitempty"`

	// ObservedGeneration is the most recent generation of the spec that the
	// controller has observed.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions are the latest observations of the Dataset.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []DatasetCondition `json:"conditions,omitzero"`

	// CacheStates are figures about the cache, such as cached and cacheCapacity.
	CacheStates CacheStateList `json:"cacheStates,omitempty"`

	// HCFSStatus is the address of the file system.
	HCFSStatus *HCFSStatus `json:"hcfs,omitempty"`

	// FileNum is the number of files in the store. If the store is too large to be
	// counted, it is a lower bound, with a + at its end.
	FileNum string `json:"fileNum,omitempty"`

	// DataLoadRef is deprecated: use operationRef.
	DataLoadRef string `json:"dataLoadRef,omitempty"`

	// DataBackupRef is deprecated: use operationRef.
	DataBackupRef string `json:"dataBackupRef,omitempty"`

	// OperationRef maps the type of an operation to the name of the operation
	// that currently locks the Dataset.
	OperationRef map[string]string `json:"operationRef,omitempty"`

	// DatasetRef names the Datasets that refer to this one.
	DatasetRef []string `json:"datasetRef,omitempty"`
}

// DatasetCondition is one aspect of the observed state of a Dataset.
type DatasetCondition struct {
	// Type of the condition.
	Type DatasetConditionType `json:"type"`

	// Status of the condition: True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`

	// Reason for the last transition, as one CamelCase word.
	Reason string `json:"reason,omitempty"`

	// Message is a human-readable explanation.
	Message string `json:"message,omitempty"`

	// ObservedGeneration is the generation of the spec that the condition is
	// based on.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// LastUpdateTime is when the condition was last evaluated.
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitempty"`

	// LastTransitionTime is when the status last changed.
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// DatasetPhase summarizes the state of a Dataset.
type DatasetPhase string

// Phases of a Dataset.
const (
	NoneDatasetPhase          DatasetPhase = ""
	PendingDatasetPhase       DatasetPhase = "Pending"
	BoundDatasetPhase         DatasetPhase = "Bound"
	FailedDatasetPhase        DatasetPhase = "Failed"
	NotBoundDatasetPhase      DatasetPhase = "NotBound"
	UpdatingDatasetPhase      DatasetPhase = "Updating"
	DataMigratingDatasetPhase DatasetPhase = "DataMigrating"
)

// DatasetConditionType names a condition of a Dataset.
type DatasetConditionType string

// Conditions of a Dataset.
const (
	DatasetRuntimeScheduled DatasetConditionType = "RuntimeScheduled"
	DatasetReady            DatasetConditionType = "Ready"
	DatasetNotReady         DatasetConditionType = "NotReady"
	DatasetUpdateReady      DatasetConditionType = "UpdateReady"
	DatasetUpdating         DatasetConditionType = "Updating"
	DatasetInitialized      DatasetConditionType = "Initialized"
	// DatasetMountUnsupported is true if no driver supports the scheme of a mount.
	DatasetMountUnsupported DatasetConditionType = "MountUnsupported"
	// DatasetSpecValid is false if a JindoRuntime claims the Dataset and cannot
	// serve its spec.
	DatasetSpecValid DatasetConditionType = "SpecValid"
	// DatasetMountsReady is true if the store of every mount responds.
	DatasetMountsReady DatasetConditionType = "MountsReady"
	// DatasetCredentialsReady is false while a Secret that a mount refers to is missing.
	DatasetCredentialsReady DatasetConditionType = "CredentialsReady"
	// DatasetChangeNotApplied is true if the spec contains a change that is not
	// applied while the Dataset is served.
	DatasetChangeNotApplied DatasetConditionType = "ChangeNotApplied"
	// DatasetDeletionBlocked is true if pods prevent the deletion of the Dataset.
	DatasetDeletionBlocked DatasetConditionType = "DeletionBlocked"
)

// PlacementMode determines whether a node may cache several Datasets.
type PlacementMode string

// Placement modes. The default is ExclusiveMode.
const (
	DefaultMode   PlacementMode = ""
	ExclusiveMode PlacementMode = "Exclusive"
	SharedMode    PlacementMode = "Shared"
)
