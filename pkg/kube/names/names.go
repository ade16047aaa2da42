// Package names is what everything on Kubernetes calls each other by: objects,
// labels, finalizers, and what the CSI driver is told. Users of Fluid rely on
// many of them.
package names

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Where the product itself runs, and by whom fields are owned.
const (
	SystemNamespace = "fluid-system"
	// FieldManager of the controllers' server-side apply.
	FieldManager = "jindo-controller"
	// Driver of CSI.
	Driver = "fuse.csi.fluid.io"
	// StorageClass of datasets' volumes; no such object is needed.
	StorageClass = "fluid"
	// MasterStorageClass is of the volumes that the controller makes for masters
	// on the nodes' tier paths; no such object is needed.
	MasterStorageClass = "jindo-master"
	// User and group that components without need of root run as.
	User = 65532
)

// Finalizers.
const (
	DatasetFinalizer = "fluid-dataset-controller-finalizer"
	RuntimeFinalizer = "jindo-runtime-controller-finalizer"
)

// Keys and values of labels that objects of a runtime carry.
const (
	LabelApp       = "app"
	App            = "jindo"
	LabelRelease   = "release"
	LabelRole      = "role"
	LabelDatasetID = "fluid.io/dataset-id"
	// LabelDataset and LabelPlacement are on workers' pods, for exclusive
	// placement.
	LabelDataset   = "fluid.io/dataset"
	LabelPlacement = "fluid.io/dataset-placement"
	LabelManagedBy = "fluid.io/managed-by"
	ManagedBy      = "jindo"
	// LabelRuntimeNamespace and LabelRuntimeName are on cluster-wide objects and
	// on those in the system namespace.
	LabelRuntimeNamespace = "jindo.io/runtime-namespace"
	LabelRuntimeName      = "jindo.io/runtime-name"
	LabelRuntimeUID       = "jindo.io/runtime-uid"
)

// Keys of volume attributes, as publish calls carry them.
const (
	AttributeRuntimeNamespace = "runtime_namespace"
	AttributeRuntimeName      = "runtime_name"
	AttributeMountType        = "mount_type" // jindo
	AttributeFluidPath        = "fluid_path"
	AttributeNodeSelectorKey  = "mount_pod_node_selector_key"
	AttributeCleanPolicy      = "clean_policy"
	// AttributeSubPath is a directory of the tree to show in place of its root.
	AttributeSubPath = "fluid_sub_path"
	// AttributeRole of an inline volume: RoleFuse or RoleWorker.
	AttributeRole = "role"
	RoleFuse      = "fuse"
	RoleWorker    = "worker"
	// RoleSidecar is the meeting place of a pod's own FUSE server.
	RoleSidecar = "sidecar"
	// AttributeVolumes of a sidecar's inline volume: handles of the pod's dataset
	// volumes, with commas.
	AttributeVolumes = "volumes"
)

// Labels and annotations of pods that ask for a sidecar.
const (
	// LabelInject "true" asks for it, LabelInjectAlias is its older name.
	LabelInject      = "serverless.fluid.io/inject"
	LabelInjectAlias = "fuse.sidecar.fluid.io/inject"
	// LabelEnableInjection "false" outweighs both.
	LabelEnableInjection = "fluid.io/enable-injection"
	// AnnotationInjection is written by the webhook: the hash of what was
	// injected, or none.
	AnnotationInjection = "serverless.fluid.io/injection"
	// AnnotationNotReady "refuse" refuses pods of a dataset that is not ready.
	AnnotationNotReady = "serverless.fluid.io/not-ready"
	// Sizes of the sidecar.
	AnnotationCPURequest    = "sidecar.jindo.io/cpu-request"
	AnnotationCPULimit      = "sidecar.jindo.io/cpu-limit"
	AnnotationMemoryRequest = "sidecar.jindo.io/memory-request"
	AnnotationMemoryLimit   = "sidecar.jindo.io/memory-limit"
	// AnnotationPullSecrets names the image pull secrets that the injection
	// added, so that it can be undone.
	AnnotationPullSecrets = "sidecar.jindo.io/image-pull-secrets"
	// Ports that meshes leave alone, as their own injectors read them.
	AnnotationIstioExcludePorts = "traffic.sidecar.istio.io/excludeOutboundPorts"
	AnnotationLinkerdSkipPorts  = "config.linkerd.io/skip-outbound-ports"
)

// What is injected into a pod.
const (
	SidecarContainer = "jindo-fuse"
	SidecarVolume    = "jindo-fuse"
	// SidecarDir is where the volume is in the sidecar.
	SidecarDir = "/run/jindo"
	// SidecarMounts is the directory in it with one folder a dataset volume,
	// each with a session socket, a roster, a certificate, sockets and state.
	SidecarMounts = "mounts"
)

// Objects of the webhook, in the system namespace or cluster-wide.
const (
	Webhook                 = "jindo-webhook" // Deployment, Service, ServiceAccount
	WebhookAuthority        = "jindo-webhook-ca"
	PodWebhooks             = "fluid-pod-admission-webhook"
	ValidatingWebhooks      = "jindo-validation"
	SidecarPolicy           = "jindo-sidecar-injected"
	WebhookPath             = "/mutate-fluid-io-v1alpha1-schedulepod"
	WebhookPort             = 9443
	WebhookServicePort      = 443
	InjectionWebhook        = "sidecar.fuse.fluid.io"
	InjectionWebhookAliased = "alias.sidecar.fuse.fluid.io"
)

// Files in the inline volume of a FUSE server.
const (
	SessionSocket = "session.sock"
	SocketsDir    = "sockets"
	// StateDir is the node's, so that the pod after this one takes over the open
	// files.
	StateDir = "state"
)

// FuseSecretRoster is the key of the roster in the Secret of the role fuse,
// whose other keys are those of an identity.
const FuseSecretRoster = "roster.json"

// FuseSecretArgs is the key of the FUSE server's own arguments in that Secret, a
// list in JSON, for servers that the controller does not start.
const FuseSecretArgs = "args.json"

// Component is hadoop-jindofs-master, and the prefix of what belongs to it.
func Component(runtime, role string) string { return runtime + "-jindofs-" + role }

// Secret of a role: master, worker, fuse, admin or credentials.
func Secret(runtime, role string) string { return Component(runtime, role) }

// Config is the ConfigMap with roster.json, ca.crt and formed.
func Config(runtime string) string { return Component(runtime, "config") }

// ConfigFormed is the key in the ConfigMap: "true" once the masters have formed
// a cluster.
const ConfigFormed = "formed"

// ServiceAccount of the runtime's pods.
func ServiceAccount(runtime string) string { return runtime + "-jindofs" }

// DatasetID is the value of [LabelDatasetID] and [LabelDataset], within the 63
// bytes that it may have.
func DatasetID(namespace, runtime string) string {
	return short(namespace+"-"+runtime, namespace, runtime)
}

// MasterService is the Service of one master.
func MasterService(runtime string, ordinal int) string {
	return Component(runtime, "master") + "-" + strconv.Itoa(ordinal)
}

// MasterHost is its DNS name.
func MasterHost(namespace, runtime string, ordinal int) string {
	return MasterService(runtime, ordinal) + "." + namespace + ".svc"
}

// WorkerHost is the DNS name of one worker, below the workers' headless Service.
func WorkerHost(namespace, runtime string, ordinal int) string {
	workers := Component(runtime, "worker")
	return workers + "-" + strconv.Itoa(ordinal) + "." + workers + "." + namespace + ".svc"
}

// AuthoritySecret in the system namespace holds the key of a runtime's CA.
func AuthoritySecret(runtimeUID string) string { return "jindo-ca-" + runtimeUID }

// Volume is the PersistentVolume of a Dataset, and its handle.
func Volume(namespace, dataset string) string { return namespace + "-" + dataset }

// MasterVolume is the PersistentVolume of one master on a node's tier path.
func MasterVolume(namespace, runtime string, ordinal int) string {
	return namespace + "-" + MasterService(runtime, ordinal)
}

// MasterClaim is the PersistentVolumeClaim that the StatefulSet makes.
func MasterClaim(runtime string, ordinal int) string {
	return "data-" + MasterService(runtime, ordinal)
}

// FuseNodeLabel is on nodes where pods use the runtime's mounts.
func FuseNodeLabel(namespace, runtime string) string { return nodeLabel("f", namespace, runtime) }

// CacheNodeLabel is on nodes where workers of the runtime cache.
func CacheNodeLabel(namespace, runtime string) string { return nodeLabel("s", namespace, runtime) }

// nodeLabel keeps to the 63 bytes that the name of a label may have.
func nodeLabel(kind, namespace, runtime string) string {
	return "fluid.io/" + short(kind+"-"+namespace+"-"+runtime, namespace, runtime)
}

// short keeps a name within 63 bytes, and different for every runtime.
func short(name, namespace, runtime string) string {
	const limit = 63
	if len(name) <= limit {
		return name
	}
	sum := sha256.Sum256([]byte(namespace + "/" + runtime))
	digest := hex.EncodeToString(sum[:8])
	return name[:limit-1-len(digest)] + "-" + digest
}

// Labels of every object of a runtime; role may be empty.
func Labels(runtime, role string) map[string]string {
	labels := map[string]string{LabelApp: App, LabelRelease: runtime, LabelManagedBy: ManagedBy}
	if role != "" {
		labels[LabelRole] = "jindofs-" + role
	}
	return labels
}
