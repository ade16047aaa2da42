package check

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// injection creates a labelled pod as a dry run, which passes through the webhook
// and the policy but is not stored.
func injection(ctx context.Context, w *checkContext) outcome {
	if w.namespace == "kube-system" || w.namespace == names.SystemNamespace {
		return skip("pods of %s are never injected: name another namespace with -n", w.namespace)
	}
	claim, err := w.someClaim(ctx)
	if err != nil {
		return w.unread("list datasets", err)
	}
	pod := probePod(w.namespace, claim)
	began := time.Now()
	err = w.cluster.Create(ctx, pod, client.DryRunAll)
	took := printer.Seconds(time.Since(began).Seconds())
	switch {
	case err == nil:
	case unreached(err) != "":
		return bad("labelled pods are refused: %s", unreached(err))
	case strings.Contains(err.Error(), names.SidecarPolicy):
		return bad("the webhook did not inject a labelled pod, and the sidecar policy refused it: check MutatingWebhookConfiguration %s", names.PodWebhooks)
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot create resource"):
		return skip("you may not create pods in %s", w.namespace)
	default:
		return bad("a labelled pod was refused: %v", err)
	}
	switch {
	case hasSidecar(pod):
		return good("a dry-run pod is injected (%s)", took)
	case pod.Annotations[names.AnnotationInjection] == "":
		return bad("a labelled pod was admitted without a sidecar: the webhook was not called")
	case claim != "":
		return bad("the webhook injected no sidecar into a pod that mounts %s", claim)
	}
	return good("the webhook handles a labelled pod (%s); no dataset in %s is bound, so nothing was injected", took, w.namespace)
}

// someClaim returns the claim of the checked Dataset, or of any that is bound.
func (w *checkContext) someClaim(ctx context.Context) (string, error) {
	var list v1alpha1.DatasetList
	if err := w.cluster.List(ctx, &list, client.InNamespace(w.namespace)); err != nil {
		return "", err //nolint:wrapcheck // the caller adds the act
	}
	claim := ""
	for _, d := range list.Items {
		if d.Status.Phase == v1alpha1.BoundDatasetPhase && (claim == "" || d.Name == w.dataset) {
			claim = d.Name
		}
	}
	return claim, nil
}

func hasSidecar(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == names.SidecarContainer })
}

// probePod returns a pod that Pod Security "restricted" admits, so that only our
// webhook and policy can refuse it.
func probePod(namespace, claim string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "jindo-check-", Namespace: namespace, Labels: map[string]string{names.LabelInject: "true"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(names.User)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "check", Image: "jindo.io/check:never-started",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	if claim != "" {
		pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}}
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data", ReadOnly: true}}
	}
	return pod
}

// refusesInvalid creates an invalid JindoRuntime, with two masters, as a dry run.
func refusesInvalid(ctx context.Context, w *checkContext) outcome {
	two := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{GenerateName: "jindo-check-", Namespace: w.namespace}}
	two.Spec.Master.Replicas = new(int32(2))
	err := w.cluster.Create(ctx, two, client.DryRunAll)
	switch {
	case err == nil:
		return bad("a JindoRuntime with two masters was accepted: the CRDs belong to another product or version; apply crds.yaml")
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err) && strings.Contains(err.Error(), "admission webhook"):
		return good("a dry-run JindoRuntime with two masters is refused")
	case apierrors.IsForbidden(err):
		return skip("you may not create JindoRuntimes in %s", w.namespace)
	case apierrors.IsNotFound(err):
		return bad("JindoRuntimes are not defined in the cluster: apply crds.yaml")
	}
	return w.unread("create a JindoRuntime as a dry run", err)
}
