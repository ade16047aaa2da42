package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// labelledPod returns a pod that requests a sidecar for a Dataset.
func labelledPod(name, dataset string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {serverless.fluid.io/inject: "true"}}
spec:
  containers: [{name: train, image: %s, command: [sleep, "3600"], volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: %s}}]
`, name, toolImage, dataset)
}

// sidecarOf returns the container that the webhook injected.
func sidecarOf(pod *corev1.Pod) *corev1.Container {
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == names.SidecarContainer {
			return &pod.Spec.InitContainers[i]
		}
	}
	return nil
}

// dryRun returns the pod as the API server would create it.
func (c *cluster) dryRun(ctx context.Context, namespace, manifest string) (*corev1.Pod, error) {
	out, err := c.run(ctx, manifest, "create", "-n", namespace, "--dry-run=server", "-o", "yaml", "-f", "-")
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{}
	return pod, yaml.Unmarshal([]byte(out), pod)
}

// TestWebhook removes the webhook, so no other test may run concurrently.
func TestWebhook(t *testing.T) { //nolint:paralleltest // it removes what other tests need
	c := connect(t)
	namespace := c.namespace(t, "webhook")
	c.create(t, namespace, "apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\nmetadata: {name: later}\nspec: {mounts: [{mountPoint: 'local:///data', name: a}]}\n")
	t.Run("Refusals", func(t *testing.T) { c.checkRefusals(t, namespace) })
	t.Run("Warnings", func(t *testing.T) { c.checkWarnings(t, namespace) })
	t.Run("DryRun", func(t *testing.T) { c.checkDryRun(t, namespace) })
	t.Run("NoReplica", func(t *testing.T) { c.checkNoReplica(t, namespace) })
	t.Run("NoConfiguration", func(t *testing.T) { c.checkNoConfiguration(t, namespace) })
}

// checkRefusals checks refusals that only the webhook can decide.
func (c *cluster) checkRefusals(t *testing.T, namespace string) {
	// It has no servers, so that it is created and deleted fast.
	c.create(t, namespace, "apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: first, annotations: {data.fluid.io/dataset: nothing}}\n"+
		"spec: {master: {disabled: true}, worker: {disabled: true}}\n")
	t.Cleanup(func() {
		_, err := c.run(context.WithoutCancel(t.Context()), "", "delete", "jindoruntime", "first", "-n", namespace)
		if err != nil {
			t.Error(err)
		}
	})
	for _, row := range []struct{ name, manifest, says string }{
		{"claimed twice", "kind: JindoRuntime\nmetadata: {name: second, annotations: {data.fluid.io/dataset: nothing}}\nspec: {}", "JindoRuntime first claims this Dataset already"},
		{"half a pair of keys", "kind: Dataset\nmetadata: {name: nothing}\nspec: {mounts: [{mountPoint: 'oss://b/', name: a, options: {fs.oss.endpoint: e, fs.oss.accessKeyId: x}}]}", "accessKeySecret"},
		{"2 masters", "kind: JindoRuntime\nmetadata: {name: second}\nspec: {master: {replicas: 2}}", "must be 1 or 3"},
	} {
		eventually(t, row.name+" is refused", func(ctx context.Context) error {
			_, err := c.run(ctx, "apiVersion: data.fluid.io/v1alpha1\n"+row.manifest, "create", "-n", namespace, "--dry-run=server", "-f", "-")
			if err == nil || !strings.Contains(err.Error(), row.says) {
				return fmt.Errorf("error %w, want %q", err, row.says)
			}
			return nil
		})
	}
	_, err := c.run(t.Context(), labelledPod("p", "no-such-dataset"), "create", "-n", namespace, "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "create the Dataset first") {
		t.Errorf("a pod of no Dataset: %v", err)
	}
}

// checkWarnings checks that kubectl prints the webhook's warnings.
func (c *cluster) checkWarnings(t *testing.T, namespace string) {
	// --warnings-as-errors makes run return the warning.
	_, err := c.run(t.Context(), `apiVersion: data.fluid.io/v1alpha1
kind: Dataset
metadata: {name: d}
spec: {mounts: [{mountPoint: "oss://b/", name: a, options: {fs.oss.endpoint: e, fs.oss.accessKeyId: me, fs.oss.accessKeySecret: hunter2}}]}
`, "create", "-n", namespace, "--dry-run=server", "--warnings-as-errors", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "name that under encryptOptions") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("credentials in clear: %v", err)
	}
}

// checkDryRun checks that a dry run returns a sidecar and stores nothing.
func (c *cluster) checkDryRun(t *testing.T, namespace string) {
	before := c.kubectl(t, "get", "pods,pvc,secrets,configmaps,datasets,jindoruntimes", "-n", namespace, "-o", "name")
	out, err := c.run(t.Context(), labelledPod("p", "later"), "apply", "-n", namespace, "--dry-run=server", "-o", "yaml", "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := yaml.Unmarshal([]byte(out), pod); err != nil {
		t.Fatal(err)
	}
	if s := sidecarOf(pod); s == nil || s.RestartPolicy == nil || *s.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Errorf("it would have no sidecar: %s", out)
	}
	if after := c.kubectl(t, "get", "pods,pvc,secrets,configmaps,datasets,jindoruntimes", "-n", namespace, "-o", "name"); after != before {
		t.Errorf("a dry run made\n%s\nof\n%s", after, before)
	}
}

// checkNoReplica scales the webhook to zero: only labelled pods are refused.
func (c *cluster) checkNoReplica(t *testing.T, namespace string) {
	c.kubectl(t, "scale", "deployment", names.Webhook, "-n", names.SystemNamespace, "--replicas=0")
	t.Cleanup(func() { c.webhookBack(t) })
	eventually(t, "a labelled pod is refused by the API server", func(ctx context.Context) error {
		_, err := c.dryRun(ctx, namespace, labelledPod("p", "later"))
		if err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
			return fmt.Errorf("error %w", err)
		}
		return nil
	})
	for name, manifest := range map[string]string{
		"not labelled": strings.Replace(labelledPod("p", "later"), `inject: "true"`, `inject: "false"`, 1),
		"opted out":    strings.Replace(labelledPod("p", "later"), `inject: "true"`, `inject: "true", fluid.io/enable-injection: "false"`, 1),
	} {
		if pod, err := c.dryRun(t.Context(), namespace, manifest); err != nil || sidecarOf(pod) != nil {
			t.Errorf("a pod that is %s: %v", name, err)
		}
	}
	if _, err := c.run(t.Context(), "apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: r}\nspec: {}\n", "create", "-n", namespace, "--dry-run=server", "-f", "-"); err != nil {
		t.Errorf("a JindoRuntime waits for the webhook: %v", err)
	}
}

// webhookBack waits until the API server calls the webhook again.
func (c *cluster) webhookBack(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	if _, err := c.run(ctx, "", "scale", "deployment", names.Webhook, "-n", names.SystemNamespace, "--replicas=2"); err != nil {
		t.Error(err)
	}
	if _, err := c.run(ctx, "", "rollout", "status", "deployment/"+names.Webhook, "-n", names.SystemNamespace, "--timeout=110s"); err != nil {
		t.Error(err)
	}
}

// checkNoConfiguration deletes the webhook's configuration: the policy refuses
// labelled pods, with a message. The recreated configuration works again.
func (c *cluster) checkNoConfiguration(t *testing.T, namespace string) {
	configuration := &admissionv1.MutatingWebhookConfiguration{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: names.PodWebhooks}, configuration); err != nil {
		t.Fatal(err)
	}
	again := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: configuration.Name, Labels: configuration.Labels}, Webhooks: configuration.Webhooks,
	}
	for i := range again.Webhooks {
		again.Webhooks[i].ClientConfig.CABundle = nil
	}
	if err := c.Delete(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreAlreadyExists(c.Create(context.WithoutCancel(t.Context()), again)); err != nil {
			t.Errorf("the configuration is not restored: %v", err)
		}
	})
	eventually(t, "the policy refuses a labelled pod", func(ctx context.Context) error {
		_, err := c.dryRun(ctx, namespace, labelledPod("p", "later"))
		if err == nil || !strings.Contains(err.Error(), "Apply Jindo's install.yaml again") {
			return fmt.Errorf("error %w", err)
		}
		return nil
	})
	if _, err := c.dryRun(t.Context(), namespace, strings.Replace(labelledPod("p", "later"), `inject: "true"`, `inject: "true", fluid.io/enable-injection: "false"`, 1)); err != nil {
		t.Errorf("a pod that opted out: %v", err)
	}
	if err := c.Create(t.Context(), again.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the webhook to be called again", func(ctx context.Context) error {
		pod, err := c.dryRun(ctx, namespace, labelledPod("p", "later"))
		if err != nil {
			return err
		}
		if sidecarOf(pod) == nil {
			return errors.New("no sidecar")
		}
		return nil
	})
}
