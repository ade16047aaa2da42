package inject

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Remove returns the operations that revert an injection, even if it is outdated. The
// error is a [*Refusal].
func Remove(pod []byte) (*Result, error) {
	doc, err := parse(pod)
	if err != nil {
		return nil, err
	}
	if err := doc.checkNames(); err != nil {
		return nil, err
	}
	operations, set, drop := doc.removeInjected()
	operations = append(operations, doc.annotate(set, append(drop, names.AnnotationInjection))...)
	if len(operations) == 0 {
		return &Result{Outcome: Skipped, Reason: ReasonNotInjected, Message: fmt.Sprintf("the pod has no sidecar %s", names.SidecarContainer)}, nil
	}
	return &Result{Operations: operations, Outcome: Removed, Reason: ReasonRenewed, Message: fmt.Sprintf("sidecar %s was removed", names.SidecarContainer)}, nil
}

// removeInjected returns the operations that remove the injected fields except annotations,
// and the annotations to set and to remove. Ports and secrets of a pod without a
// sidecar are its own, and are kept.
func (d *document) removeInjected() (operations []Operation, set map[string]string, drop []string) {
	container, volume := d.sidecarIndex(), d.sidecarVolumeIndex()
	if container < 0 && volume < 0 {
		return nil, nil, nil
	}
	if container >= 0 {
		if len(d.Spec.InitContainers) == 1 {
			operations = append(operations, d.testName(container), Operation{Op: "remove", Path: "/spec/initContainers"})
		} else {
			operations = append(operations, d.cut(container)...)
		}
	}
	if volume >= 0 {
		operations = append(operations, Operation{Op: "test", Path: pointer("/spec/volumes", volume, "name"), Value: names.SidecarVolume})
		if len(d.Spec.Volumes) == 1 {
			operations = append(operations, Operation{Op: "remove", Path: "/spec/volumes"})
		} else {
			operations = append(operations, Operation{Op: "remove", Path: pointer("/spec/volumes", volume)})
		}
	}
	operations = append(operations, d.withoutSecrets()...)
	set, drop = map[string]string{}, []string{names.AnnotationPullSecrets}
	for _, key := range []string{names.AnnotationIstioExcludePorts, names.AnnotationLinkerdSkipPorts} {
		existing, has := d.Metadata.Annotations[key]
		if !has {
			continue
		}
		if rest := withoutPorts(existing); rest == "" {
			drop = append(drop, key)
		} else {
			set[key] = rest
		}
	}
	return operations, set, drop
}

// withoutSecrets removes the injected image pull secrets in reverse order.
func (d *document) withoutSecrets() []Operation {
	const at = "/spec/imagePullSecrets"
	added := splitList(d.Metadata.Annotations[names.AnnotationPullSecrets])
	secrets := d.Spec.ImagePullSecrets
	left := slices.DeleteFunc(slices.Clone(secrets), func(s corev1.LocalObjectReference) bool { return slices.Contains(added, s.Name) })
	if len(left) == 0 && len(secrets) > 0 {
		return []Operation{{Op: "remove", Path: at}}
	}
	var operations []Operation
	for i, secret := range slices.Backward(secrets) {
		if slices.Contains(added, secret.Name) {
			operations = append(operations, Operation{Op: "test", Path: pointer(at, i, "name"), Value: secret.Name}, Operation{Op: "remove", Path: pointer(at, i)})
		}
	}
	return operations
}

// Apply returns the pod with the operations applied. Other fields do not change.
func Apply(pod []byte, operations []Operation) ([]byte, error) {
	if len(operations) == 0 {
		return bytes.Clone(pod), nil
	}
	raw, err := json.Marshal(operations)
	if err != nil {
		return nil, fmt.Errorf("encode the operations: %w", err)
	}
	patch, err := jsonpatch.DecodePatch(raw)
	if err != nil {
		return nil, fmt.Errorf("decode the operations: %w", err)
	}
	options := jsonpatch.NewApplyOptions()
	options.EscapeHTML = false
	out, err := patch.ApplyWithOptions(pod, options)
	if err != nil {
		return nil, fmt.Errorf("apply the operations: %w", err)
	}
	return out, nil
}
