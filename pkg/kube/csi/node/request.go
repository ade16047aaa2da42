//go:build linux

package node

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Attributes that the kubelet adds to a volume's context.
const (
	contextEphemeral    = "csi.storage.k8s.io/ephemeral"
	contextPodName      = "csi.storage.k8s.io/pod.name"
	contextPodNamespace = "csi.storage.k8s.io/pod.namespace"
	contextPodUID       = "csi.storage.k8s.io/pod.uid"
)

// Limits of a request, in bytes.
const (
	maxID     = 256
	maxTarget = 4096
	// maxHandles is the limit of the list of a sidecar's volumes.
	maxHandles = 64 << 10
)

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// volumeOf validates a publish request and returns the record of its volume.
func (n *Node) volumeOf(req *csi.NodePublishVolumeRequest) (records.Volume, error) {
	v := records.Volume{ID: req.GetVolumeId(), Target: req.GetTargetPath(), Since: time.Now()}
	if err := n.checkTarget(v.ID, v.Target); err != nil {
		return v, err
	}
	if req.GetVolumeCapability() == nil {
		return v, invalid("volume %s: the request has no volume capability", v.ID)
	}
	if req.GetVolumeCapability().GetMount() == nil {
		return v, invalid("volume %s: volumeMode Block is not supported: set volumeMode: Filesystem", v.ID)
	}
	attributes := req.GetVolumeContext()
	v.Pod = records.Pod{
		Namespace: attributes[contextPodNamespace], Name: attributes[contextPodName], UID: attributes[contextPodUID],
	}
	if err := checkPod(v); err != nil {
		return v, err
	}
	var err error
	if attributes[contextEphemeral] == "true" {
		err = fillInline(&v, attributes)
	} else {
		err = fillFiles(&v, attributes, req.GetReadonly())
	}
	return v, err
}

// checkTarget validates the volume id and the target path of a request.
func (n *Node) checkTarget(id, target string) error {
	switch {
	case id == "":
		return invalid("the request has no volume id")
	case len(id) > maxID:
		return invalid("the volume id has %d bytes, the limit is %d", len(id), maxID)
	case target == "":
		return invalid("volume %s: the request has no target path", id)
	case len(target) > maxTarget || !filepath.IsAbs(target) || filepath.Clean(target) != target || strings.ContainsRune(target, 0):
		return invalid("volume %s: target path %.200q is not a clean absolute path", id, target)
	case !strings.HasPrefix(target, filepath.Clean(n.config.KubeletDir)+"/"):
		return invalid("volume %s: target path %q is not below the kubelet's directory %s: set --kubelet-dir of the plugin to the kubelet's root directory", id, target, n.config.KubeletDir)
	case target == n.dir() || strings.HasPrefix(target, n.dir()+"/"):
		return invalid("volume %s: target path %q is in the plugin's own directory", id, target)
	}
	return nil
}

// checkPod validates the pod of a request. A request without a pod is valid; only
// inline volumes require one.
func checkPod(v records.Volume) error {
	pod := v.Pod
	if pod.UID != "" && len(validation.IsDNS1123Subdomain(pod.UID)) > 0 ||
		pod.Namespace != "" && len(validation.IsDNS1123Label(pod.Namespace)) > 0 ||
		pod.Name != "" && len(validation.IsDNS1123Subdomain(pod.Name)) > 0 {
		return invalid("volume %s: invalid pod name %q, namespace %q or uid %q", v.ID, pod.Name, pod.Namespace, pod.UID)
	}
	return nil
}

func fillInline(v *records.Volume, attributes map[string]string) error {
	v.Role = attributes[names.AttributeRole]
	v.Runtime = records.Runtime{Namespace: v.Pod.Namespace, Name: attributes[names.AttributeRuntimeName]}
	if v.Pod.Namespace == "" || v.Pod.UID == "" {
		return invalid("volume %s: the request does not name the pod: set podInfoOnMount: true in CSIDriver %s", v.ID, names.Driver)
	}
	switch v.Role {
	case names.RoleFuse, names.RoleWorker:
		return checkRuntime(v)
	case names.RoleSidecar:
		v.Runtime, v.Handles = records.Runtime{}, attributes[names.AttributeVolumes]
		return checkHandles(v)
	}
	return invalid("volume %s: invalid volumeAttributes.%s %q of an inline volume: set it to %s, %s or %s", v.ID, names.AttributeRole, v.Role, names.RoleFuse, names.RoleWorker, names.RoleSidecar)
}

// checkHandles validates the list of a sidecar's volumes.
func checkHandles(v *records.Volume) error {
	if len(v.Handles) > maxHandles {
		return invalid("volume %s: volumeAttributes.%s has %d bytes, the limit is %d", v.ID, names.AttributeVolumes, len(v.Handles), maxHandles)
	}
	for handle := range strings.SplitSeq(v.Handles, ",") {
		if len(validation.IsDNS1123Subdomain(handle)) > 0 {
			return invalid("volume %s: invalid volume handle %.300q in volumeAttributes.%s, a comma-separated list", v.ID, handle, names.AttributeVolumes)
		}
	}
	return nil
}

func fillFiles(v *records.Volume, attributes map[string]string, readOnly bool) error {
	v.Runtime = records.Runtime{
		Namespace: attributes[names.AttributeRuntimeNamespace], Name: attributes[names.AttributeRuntimeName],
	}
	v.ReadOnly, v.CleanPolicy = readOnly, attributes[names.AttributeCleanPolicy]
	if kind := attributes[names.AttributeMountType]; kind != "" && kind != "jindo" {
		return invalid("volume %s: unsupported volumeAttributes.%s %q: this driver supports jindo", v.ID, names.AttributeMountType, kind)
	}
	v.SubPath = strings.Trim(attributes[names.AttributeSubPath], "/")
	if v.SubPath != "" && !filepath.IsLocal(v.SubPath) || strings.ContainsRune(v.SubPath, 0) || len(v.SubPath) > maxTarget {
		return invalid("volume %s: invalid volumeAttributes.%s %.200q: it must be a directory of the dataset, without \"..\"", v.ID, names.AttributeSubPath, v.SubPath)
	}
	if err := checkRuntime(v); err != nil {
		return err
	}
	return fillNodeLabel(v, attributes[names.AttributeNodeSelectorKey])
}

// fillNodeLabel sets v.NodeLabel if label is not the one of a runtime without a name of
// its own.
func fillNodeLabel(v *records.Volume, label string) error {
	if label == "" || label == nodeLabel(*v) {
		return nil
	}
	if !strings.HasPrefix(label, names.FuseLabelPrefix) || len(validation.IsQualifiedName(label)) > 0 {
		return invalid("volume %s: invalid volumeAttributes.%s %.200q: it must be a label %s*", v.ID, names.AttributeNodeSelectorKey, label, names.FuseLabelPrefix)
	}
	v.NodeLabel = label
	return nil
}

func checkRuntime(v *records.Volume) error {
	if v.Runtime.Namespace == "" || v.Runtime.Name == "" {
		return invalid("volume %s: volumeAttributes must name the runtime in %s and %s", v.ID, names.AttributeRuntimeNamespace, names.AttributeRuntimeName)
	}
	for _, problem := range append(validation.IsDNS1123Label(v.Runtime.Namespace), validation.IsDNS1123Subdomain(v.Runtime.Name)...) {
		return invalid("volume %s: invalid runtime name %.300q: %s", v.ID, fmt.Sprint(v.Runtime), problem)
	}
	return nil
}
