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

// Dataset says where data lies and how it appears as files.
//
// The schema refuses what is wrong under any runtime of Fluid, for a Dataset
// need not be served by a JindoRuntime.
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name cannot be a DNS name: write at most 63 lower-case letters, digits and '-', starting with a letter and not ending in '-', such as hbase"
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
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:XValidation:rule="size(self) > 0",message="is empty: write at least one mount, such as - mountPoint: oss://bucket/"
	// +kubebuilder:validation:XValidation:rule="self.all(m, !has(m.name) || size(m.name) == 0 || self.exists_one(other, has(other.name) && other.name == m.name))",message="one name is given to two mounts: write another name for one of them"
	// +kubebuilder:validation:XValidation:rule="self.all(m, !has(m.path) || size(m.path) == 0 || self.exists_one(other, has(other.path) && other.path == m.path))",message="one path is given to two mounts: write another path for one of them"
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
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(mode, mode in ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'])",message="holds what is no access mode: write ReadOnlyMany, ReadWriteMany, ReadWriteOnce or ReadWriteOncePod"
	AccessModes []corev1.PersistentVolumeAccessMode `json:"accessModes,omitempty"`

	// Runtimes that serve the data.
	// +optional
	Runtimes []Runtime `json:"runtimes,omitempty"`

	// PlacementMode says whether a node may cache this Dataset beside others.
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self in ['Exclusive', 'Shared']",message="is not one of the values there are: write Exclusive or Shared, or leave it out"
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
	// +kubebuilder:validation:MaxItems=32
	SharedEncryptOptions []EncryptOption `json:"sharedEncryptOptions,omitempty"`
}

// Mount puts one bucket, prefix or directory at a path of the tree.
// +kubebuilder:validation:XValidation:rule="has(self.mountPoint) && size(self.mountPoint) > 0",message="write where the data lies, such as oss://bucket/prefix/",reason=FieldValueRequired,fieldPath=".mountPoint"
// +kubebuilder:validation:XValidation:rule="!has(self.mountPoint) || !self.mountPoint.matches('^(oss|s3|cos|obs)://[^/]*@')",message="a mount point holds no credentials: write them as encryptOptions, such as fs.oss.accessKeyId and fs.oss.accessKeySecret",reason=FieldValueForbidden,fieldPath=".mountPoint"
type Mount struct {
	// MountPoint is where the data lies: oss://bucket/prefix/,
	// s3://bucket/prefix/, local:///directory.
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="!self.matches('^(oss|s3|cos|obs)://') || self.matches('^[a-z0-9]+://[-._a-zA-Z0-9<>@:]+(/|$)')",message="names no bucket: write it like oss://bucket/prefix/, the bucket in letters, digits, '-', '_' and '.'"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^(local://[^/]|local://$)')",message="names no absolute directory: write it like local:///directory, with three slashes"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^pvc://') || self.matches('^pvc://[-.a-z0-9]+(/|$)')",message="names no claim: write it like pvc://claim/directory, in lower-case letters, digits and '-'"
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || size(self) >= 5",message="is too short for a mountPoint: write where the data lies, such as oss://bucket/prefix/"
	// +optional
	MountPoint string `json:"mountPoint,omitempty"`

	// Options of the store and of the mount, such as fs.oss.endpoint and
	// metaPolicy.
	// +kubebuilder:validation:XValidation:rule="!('metaPolicy' in self) || self['metaPolicy'] in ['ALWAYS', 'ONCE']",message="metaPolicy is not one of the values there are: write ALWAYS or ONCE"
	// +kubebuilder:validation:XValidation:rule="!('cacheStrategy' in self) || self['cacheStrategy'] in ['DISTRIBUTED', 'DHT']",message="cacheStrategy is not one of the values there are: write DISTRIBUTED or DHT"
	// +kubebuilder:validation:XValidation:rule="!('writePolicy' in self) || self['writePolicy'] in ['WRITE_AROUND', 'WRITE_THROUGH', 'CACHE_ONLY']",message="writePolicy is not one of the values there are: write WRITE_AROUND, WRITE_THROUGH or CACHE_ONLY"
	// +kubebuilder:validation:XValidation:rule="!('posixMetadata' in self) || self['posixMetadata'] in ['true', 'false']",message="posixMetadata is not one of the values there are: write true or false"
	// +kubebuilder:validation:XValidation:rule="!('locks' in self) || self['locks'] in ['kernel', 'cluster']",message="locks is not one of the values there are: write kernel or cluster"
	// +kubebuilder:validation:MaxProperties=256
	// +optional
	Options map[string]string `json:"options,omitempty"`

	// Name of the mount; one is made of the mountPoint when there is none.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`

	// Path in the tree; /NAME when there is none, and the root of the tree for
	// an only mount that has no name either.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Path string `json:"path,omitempty"`

	// ReadOnly forbids writing to this mount, whatever the accessModes allow.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`

	// Shared says that users share the mount.
	// +optional
	Shared bool `json:"shared,omitempty"`

	// EncryptOptions are options whose values lie in Secrets.
	// +kubebuilder:validation:MaxItems=32
	// +optional
	EncryptOptions []EncryptOption `json:"encryptOptions,omitempty"`
}

// EncryptOption is an option whose value lies in a Secret.
// +kubebuilder:validation:XValidation:rule="has(self.name) && size(self.name) > 0",message="write the option, such as fs.oss.accessKeyId",reason=FieldValueRequired,fieldPath=".name"
// +kubebuilder:validation:XValidation:rule="has(self.valueFrom) && has(self.valueFrom.secretKeyRef) && has(self.valueFrom.secretKeyRef.name) && size(self.valueFrom.secretKeyRef.name) > 0",message="write valueFrom.secretKeyRef.name, the name of the Secret that holds the value",reason=FieldValueRequired,fieldPath=".valueFrom"
// +kubebuilder:validation:XValidation:rule="has(self.valueFrom) && has(self.valueFrom.secretKeyRef) && has(self.valueFrom.secretKeyRef.key) && size(self.valueFrom.secretKeyRef.key) > 0",message="write valueFrom.secretKeyRef.key, the key in the Secret that holds the value",reason=FieldValueRequired,fieldPath=".valueFrom"
type EncryptOption struct {
	// Name of the option, such as fs.oss.accessKeyId.
	// +kubebuilder:validation:MaxLength=253
	// +optional
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
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",message="cannot be the name of an object: write lower-case letters, digits, '-' and '.'"
	// +optional
	Name string `json:"name,omitempty"`

	// Key in the Secret.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[-._a-zA-Z0-9]+$') && !self.matches('^[.][.]?$|^[.][.]')",message="is no key of a Secret: write letters, digits, '-', '_' and '.'"
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
	// +kubebuilder:validation:MaxItems=128
	Mounts []Mount `json:"mounts,omitempty"`

	// UfsTotal is the size of all files in the store.
	UfsTotal string `json:"ufsTotal,omitempty"`

	// Phase of the Dataset.
	Phase DatasetPhase `json:"phase,omitempty"`

	// Runtimes that serve it.
	Runtimes []Runtime `json:"runtimes,omitempty"`

	// ObservedGeneration is the generation of the spec that this status is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions as of now.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []DatasetCondition `json:"conditions,omitzero"`

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
