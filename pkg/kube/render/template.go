package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Template returns the pod template of a StatefulSet or DaemonSet, and nil for any other
// object.
func Template(o client.Object) *corev1.PodTemplateSpec {
	switch o := o.(type) {
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	case *appsv1.DaemonSet:
		return &o.Spec.Template
	}
	return nil
}

// stamp records the digest of each pod template in its annotations, from which pods get
// it. Thus a pod shows which template it was created from, although the API server adds
// fields to templates.
func stamp(objects []client.Object) error {
	for _, o := range objects {
		template := Template(o)
		if template == nil {
			continue
		}
		raw, err := json.Marshal(template)
		if err != nil {
			return fmt.Errorf("encode pod template of %s: %w", o.GetName(), err)
		}
		sum := sha256.Sum256(raw)
		if template.Annotations == nil {
			template.Annotations = map[string]string{}
		}
		template.Annotations[names.AnnotationTemplate] = hex.EncodeToString(sum[:8])
	}
	return nil
}

// Digest returns the digest of a pod template; "" if an earlier version rendered it.
func Digest(template *corev1.PodTemplateSpec) string {
	return template.Annotations[names.AnnotationTemplate]
}

// Current reports whether a pod was created from the template with a digest. Without a
// digest every pod counts as current.
func Current(pod *corev1.Pod, digest string) bool {
	return digest == "" || pod.Annotations[names.AnnotationTemplate] == digest
}
