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

// Dataset says where data lies and how it appears as files.
type Dataset struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DatasetSpec   `json:"spec,omitempty"`
	Status DatasetStatus `json:"status,omitempty"`
}

// +kubebuilder:object:root=true

// DatasetList is several Datasets.
type DatasetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Dataset `json:"items"`
}

// DatasetSpec is what a person wants of a Dataset.
type DatasetSpec struct {
	// Mounts are the buckets and directories that make up the tree, each under
	// its own path.
	// +kubebuilder:validation:MinItems=1
	// +optional
	Mounts []Mount `json:"mounts,omitempty"`

	// Owner is the user and group that files in the mount belong to.
	// +optional
	Owner *User `json:"owner,omitempty"`

	// NodeAffinity limits the nodes that may cache the data.
	// +optional
	NodeAffinity *CacheableNodeAffinity `json:"nodeAffinity,omitempty"`

	// Tolerations of the masters and workers that serve the data.
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// AccessModes of the volume; read-only when ReadOnlyMany is among them or
	// none is given.
	// +optional
	AccessModes []corev1.PersistentVolumeAccessMode `json:"accessModes,omitempty"`

	// Runtimes that serve the data.
	// +optional
	Runtimes []Runtime `json:"runtimes,omitempty"`

	// PlacementMode says whether a node may cache this Dataset beside others.
	// +kubebuilder:validation:Enum=Exclusive;"";Shared
	// +optional
	PlacementMode PlacementMode `json:"placement,omitempty"`

	// DataRestoreLocation is where a backup of the metadata lies.
	// +optional
	DataRestoreLocation *DataRestoreLocation `json:"dataRestoreLocation,omitempty"`

	// SharedOptions are options of every mount that does not set them itself.
	// +optional
	SharedOptions map[string]string `json:"sharedOptions,omitempty"`

	// SharedEncryptOptions are options out of Secrets of every mount that does
	// not set them itself.
	// +optional
	SharedEncryptOptions []EncryptOption `json:"sharedEncryptOptions,omitempty"`
}

// Mount puts one bucket, prefix or directory at a path of the tree.
type Mount struct {
	// MountPoint is where the data lies: oss://bucket/prefix/,
	// s3://bucket/prefix/, local:///directory.
	// +kubebuilder:validation:MinLength=5
	// +required
	MountPoint string `json:"mountPoint,omitempty"`

	// Options of the store and of the mount, such as fs.oss.endpoint and
	// metaPolicy.
	// +optional
	Options map[string]string `json:"options,omitempty"`

	// Name of the mount; one is made of the mountPoint when there is none.
	// +optional
	Name string `json:"name,omitempty"`

	// Path in the tree; /NAME when there is none, and the root of the tree for
	// an only mount that has no name either.
	// +optional
	Path string `json:"path,omitempty"`

	// ReadOnly forbids writing to this mount, whatever the accessModes allow.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`

	// Shared says that users share the mount.
	// +optional
	Shared bool `json:"shared,omitempty"`

	// EncryptOptions are options whose values lie in Secrets.
	// +optional
	EncryptOptions []EncryptOption `json:"encryptOptions,omitempty"`
}

// EncryptOption is an option whose value lies in a Secret.
type EncryptOption struct {
	// Name of the option, such as fs.oss.accessKeyId.
	// +required
	Name string `json:"name,omitempty"`

	// ValueFrom says where its value lies.
	// +optional
	ValueFrom EncryptOptionSource `json:"valueFrom,omitempty"`
}

// EncryptOptionSource says where the value of an option lies.
type EncryptOptionSource struct {
	// SecretKeyRef names a Secret of the same namespace and a key in it.
	// +optional
	SecretKeyRef SecretKeySelector `json:"secretKeyRef,omitempty"`
}

// SecretKeySelector is one key of one Secret.
type SecretKeySelector struct {
	// Name of the Secret.
	// +required
	Name string `json:"name,omitempty"`

	// Key in the Secret.
	// +optional
	Key string `json:"key,omitempty"`
}

// CacheableNodeAffinity limits the nodes that may cache the data.
type CacheableNodeAffinity struct {
	// Required terms that a node must match.
	// +optional
	Required *corev1.NodeSelector `json:"required,omitempty"`
}

// DataRestoreLocation is where a backup of the metadata lies.
type DataRestoreLocation struct {
	// Path of the backup: local:///directory or pvc://claim/directory.
	// +optional
	Path string `json:"path,omitempty"`

	// NodeName of the node that a local path is on.
	// +optional
	NodeName string `json:"nodeName,omitempty"`
}

// Runtime names a runtime that serves a Dataset.
type Runtime struct {
	// Name of the runtime.
	Name string `json:"name,omitempty"`

	// Namespace of the runtime.
	Namespace string `json:"namespace,omitempty"`

	// Category of the runtime: Accelerate.
	Category Category `json:"category,omitempty"`

	// Type of the runtime: jindo.
	Type string `json:"type,omitempty"`

	// MasterReplicas of the runtime.
	MasterReplicas int32 `json:"masterReplicas,omitempty"`
}

// DatasetStatus is what has been seen of a Dataset.
type DatasetStatus struct {
	// Mounts that are in place.
	Mounts []Mount `json:"mounts,omitempty"`

	// UfsTotal is the size of all files in the store.
	UfsTotal string `json:"ufsTotal,omitempty"`

	// Phase of the Dataset.
	Phase DatasetPhase `json:"phase,omitempty"`

	// Runtimes that serve it.
	Runtimes []Runtime `json:"runtimes,omitempty"`

	// ObservedGeneration is the generation of the spec that this status is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions as of now; an empty list rather than none.
	// +listType=map
	// +listMapKey=type
	Conditions []DatasetCondition `json:"conditions"`

	// CacheStates are figures about the cache, by the keys named CacheState*.
	CacheStates CacheStateList `json:"cacheStates,omitempty"`

	// HCFSStatus says where the file system is reached.
	HCFSStatus *HCFSStatus `json:"hcfs,omitempty"`

	// FileNum is the number of files in the store.
	FileNum string `json:"fileNum,omitempty"`

	// DataLoadRef is deprecated: see OperationRef.
	DataLoadRef string `json:"dataLoadRef,omitempty"`

	// DataBackupRef is deprecated: see OperationRef.
	DataBackupRef string `json:"dataBackupRef,omitempty"`

	// OperationRef names the operation of each type that holds the Dataset.
	OperationRef map[string]string `json:"operationRef,omitempty"`

	// DatasetRef names Datasets that refer to this one.
	DatasetRef []string `json:"datasetRef,omitempty"`
}

// DatasetCondition is one thing that is so, or not, about a Dataset.
type DatasetCondition struct {
	// Type of the condition.
	Type DatasetConditionType `json:"type"`

	// Status is True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`

	// Reason in one word.
	Reason string `json:"reason,omitempty"`

	// Message for people.
	Message string `json:"message,omitempty"`

	// ObservedGeneration is the generation of the spec that this is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// LastUpdateTime is when this was last looked at.
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitempty"`

	// LastTransitionTime is when the status last changed.
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// DatasetPhase sums a Dataset up in a word.
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
	// DatasetMountUnsupported: a mount's scheme has no driver here.
	DatasetMountUnsupported DatasetConditionType = "MountUnsupported"
	// DatasetSpecValid: the spec can be carried out.
	DatasetSpecValid DatasetConditionType = "SpecValid"
	// DatasetMountsReady: the store of every mount answers.
	DatasetMountsReady DatasetConditionType = "MountsReady"
	// DatasetChangeNotApplied: the spec asks for what is not done online yet.
	DatasetChangeNotApplied DatasetConditionType = "ChangeNotApplied"
	// DatasetDeletionBlocked: pods keep the Dataset from going.
	DatasetDeletionBlocked DatasetConditionType = "DeletionBlocked"
)

// PlacementMode says whether a node may cache a Dataset beside others.
type PlacementMode string

// Modes of placement. The default is exclusive.
const (
	DefaultMode   PlacementMode = ""
	ExclusiveMode PlacementMode = "Exclusive"
	SharedMode    PlacementMode = "Shared"
)
