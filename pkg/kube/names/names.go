// Package names defines the names of Kubernetes objects, labels, annotations,
// finalizers and CSI volume attributes that the components share. Users of Fluid
// rely on many of them.
package names

import (
	"path"
	"strconv"
)

// Names of the installation.
const (
	SystemNamespace = "fluid-system"
	// FieldManager is the field manager of the controllers' server-side apply.
	FieldManager = "jindo-controller"
	// Driver is the name of the CSI driver.
	Driver = "fuse.csi.fluid.io"
	// StorageClass is the storage class of the volumes of Datasets. A StorageClass
	// object is not required.
	StorageClass = "fluid"
	// MasterStorageClass is the storage class of the volumes that the controller
	// creates for masters on tier paths of nodes. A StorageClass object is not
	// required.
	MasterStorageClass = "jindo-master"
	// User is the user and group ID of components that do not require root.
	User = 65532
)

// Finalizers.
const (
	DatasetFinalizer = "fluid-dataset-controller-finalizer"
	RuntimeFinalizer = "jindo-runtime-controller-finalizer"
)

// Keys and values of the labels of the objects of a runtime.
const (
	LabelApp       = "app"
	App            = "jindo"
	LabelRelease   = "release"
	LabelRole      = "role"
	LabelDatasetID = "fluid.io/dataset-id"
	// LabelDataset and LabelPlacement are labels of worker pods, for exclusive
	// placement.
	LabelDataset   = "fluid.io/dataset"
	LabelPlacement = "fluid.io/dataset-placement"
	LabelManagedBy = "fluid.io/managed-by"
	ManagedBy      = "jindo"
	// LabelRuntimeNamespace, LabelRuntimeName and LabelRuntimeUID are labels of
	// cluster-scoped objects and of objects in the system namespace.
	LabelRuntimeNamespace = "jindo.io/runtime-namespace"
	LabelRuntimeName      = "jindo.io/runtime-name"
	LabelRuntimeUID       = "jindo.io/runtime-uid"
)

// AnnotationRefreshed is the annotation of workers' pods that is changed so that the
// kubelet writes changed credentials into the pod.
const AnnotationRefreshed = "jindo.io/credentials-refreshed"

// AnnotationTemplate is the annotation of pods with the digest of the pod template that
// they were created from.
const AnnotationTemplate = "jindo.io/template"

// LabelMetrics "true" is the label of namespaces whose pods may read metrics.
const LabelMetrics = "jindo.io/metrics"

// Keys of the volume attributes in CSI requests.
const (
	AttributeRuntimeNamespace = "runtime_namespace"
	AttributeRuntimeName      = "runtime_name"
	AttributeMountType        = "mount_type" // jindo
	AttributeFluidPath        = "fluid_path"
	AttributeNodeSelectorKey  = "mount_pod_node_selector_key"
	AttributeCleanPolicy      = "clean_policy"
	// AttributeSubPath is a directory of the file tree that is mounted instead of
	// its root.
	AttributeSubPath = "fluid_sub_path"
	// AttributeRole of an inline volume: RoleFuse or RoleWorker.
	AttributeRole = "role"
	RoleFuse      = "fuse"
	RoleWorker    = "worker"
	// RoleSidecar is the role of the volume of a sidecar FUSE server.
	RoleSidecar = "sidecar"
	// AttributeVolumes is set on the inline volume of a sidecar: the
	// comma-separated handles of the pod's dataset volumes.
	AttributeVolumes = "volumes"
)

// Labels and annotations of pods that request a sidecar.
const (
	// LabelInject "true" requests a sidecar. LabelInjectAlias is its older name.
	LabelInject      = "serverless.fluid.io/inject"
	LabelInjectAlias = "fuse.sidecar.fluid.io/inject"
	// LabelEnableInjection "false" overrides both.
	LabelEnableInjection = "fluid.io/enable-injection"
	// AnnotationInjection is set by the webhook to the hash of the injected
	// fields, or to "none".
	AnnotationInjection = "serverless.fluid.io/injection"
	// AnnotationNotReady "refuse" rejects the pod while its Dataset is not ready.
	AnnotationNotReady = "serverless.fluid.io/not-ready"
	// Resources of the sidecar.
	AnnotationCPURequest    = "sidecar.jindo.io/cpu-request"
	AnnotationCPULimit      = "sidecar.jindo.io/cpu-limit"
	AnnotationMemoryRequest = "sidecar.jindo.io/memory-request"
	AnnotationMemoryLimit   = "sidecar.jindo.io/memory-limit"
	// AnnotationPullSecrets lists the image pull secrets that were injected, so
	// that they can be removed again.
	AnnotationPullSecrets = "sidecar.jindo.io/image-pull-secrets"
	// Ports that service meshes do not intercept.
	AnnotationIstioExcludePorts = "traffic.sidecar.istio.io/excludeOutboundPorts"
	AnnotationLinkerdSkipPorts  = "config.linkerd.io/skip-outbound-ports"
)

// Names of the injected fields of a pod.
const (
	SidecarContainer = "jindo-fuse"
	SidecarVolume    = "jindo-fuse"
	// SidecarDir is the mount path of the volume in the sidecar.
	SidecarDir = "/run/jindo"
	// SidecarMounts is a directory below SidecarDir with a subdirectory for each
	// dataset volume, which contains a session socket, a topology, a certificate,
	// sockets and state.
	SidecarMounts = "mounts"
)

// Objects of the webhook, cluster-scoped or in the system namespace.
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
	// StateDir is stored on the node, so that the next pod can take over open
	// files.
	StateDir = "state"
)

// FuseSecretRoster is the key of the topology in the Secret of the role fuse. The
// other keys of the Secret are those of an identity.
const FuseSecretRoster = "roster.json"

// FuseSecretArgs is the key of the arguments of the FUSE server in that Secret, as a
// JSON list, for servers that the controller does not start.
const FuseSecretArgs = "args.json"

// Component returns the name of a component, such as hadoop-jindofs-master. It is
// also the prefix of the names of the component's objects.
func Component(runtime, role string) string { return runtime + "-jindofs-" + role }

// Secret returns the name of the Secret of a role: master, worker, fuse, admin or
// credentials.
func Secret(runtime, role string) string { return Component(runtime, role) }

// Config returns the name of the ConfigMap with roster.json, ca.crt and formed.
func Config(runtime string) string { return Component(runtime, "config") }

// ConfigFormed is the key in the ConfigMap whose value is "true" once the masters
// have formed a cluster.
const ConfigFormed = "formed"

// ServiceAccount returns the name of the ServiceAccount of the runtime's pods.
func ServiceAccount(runtime string) string { return runtime + "-jindofs" }

// MasterService returns the name of the Service of one master.
func MasterService(runtime string, ordinal int) string {
	return Component(runtime, "master") + "-" + strconv.Itoa(ordinal)
}

// MasterHost returns the DNS name of the Service of one master.
func MasterHost(namespace, runtime string, ordinal int) string {
	return MasterService(runtime, ordinal) + "." + namespace + ".svc"
}

// WorkerHost returns the DNS name of one worker, below the workers' headless
// Service.
func WorkerHost(namespace, runtime string, ordinal int) string {
	workers := Component(runtime, "worker")
	return workers + "-" + strconv.Itoa(ordinal) + "." + workers + "." + namespace + ".svc"
}

// AuthoritySecret returns the name of the Secret in the system namespace that
// contains the key of a runtime's CA.
func AuthoritySecret(runtimeUID string) string { return "jindo-ca-" + runtimeUID }

// MasterClaim returns the name of the PersistentVolumeClaim that the StatefulSet
// creates for one master.
func MasterClaim(runtime string, ordinal int) string {
	return "data-" + MasterService(runtime, ordinal)
}

// Labels returns the labels of every object of a runtime. The role may be empty.
func Labels(runtime, role string) map[string]string {
	labels := map[string]string{LabelApp: App, LabelRelease: runtime, LabelManagedBy: ManagedBy}
	if role != "" {
		labels[LabelRole] = "jindofs-" + role
	}
	return labels
}

// NodeDirectory returns the directory of a runtime for a kind of data below an allowed
// directory of nodes.
func NodeDirectory(root, namespace, runtime, kind string) string {
	return path.Join(root, namespace, runtime, "jindofs", kind)
}
