package check

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/test/cli/clitest"
	"github.com/jindo-io/jindo/test/cli/reporttest"
)

// fixture is a fake cluster and the context of checks against it.
type fixture struct {
	server  *clitest.Server
	context *checkContext
}

func newFixture(t *testing.T, objects ...ctrl.Object) *fixture {
	t.Helper()
	server := clitest.New(t, objects...)
	scheme, err := session.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	config := server.Config()
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: session.Mapper(scheme)})
	if err != nil {
		t.Fatal(err)
	}
	w := newContext(&session.Session{Name: "kubectl jindo"}, &session.Cluster{Config: config, Client: c, Namespace: "default"}, "hbase")
	w.collect = func(context.Context) (*report.Runtime, error) { return reporttest.Healthy(), nil }
	return &fixture{server, w}
}

func (s *fixture) see(t *testing.T, run func(context.Context, *checkContext) outcome, state State, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if o := run(ctx, s.context); o.state != state || !strings.Contains(o.text, text) {
		t.Errorf("got %s %q, want %s with %q", o.state, o.text, state, text)
	}
}

func node(name, kubelet, kernel string, labels map[string]string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: kubelet, KernelVersion: kernel, OperatingSystem: "linux",
		}},
	}
}

func deployment(name, command string, want, ready int32) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: names.SystemNamespace, Name: name}}
	d.Spec.Replicas, d.Status.ReadyReplicas = new(want), ready
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "jindo:v1", Command: []string{command}}}
	return d
}

func TestNodes(t *testing.T) {
	s := newFixture(t,
		node("new", "v1.34.0", "6.18.0", nil), node("old", "v1.28.0", "5.3.0", nil),
		node("cloud", "v1.0.0", "", map[string]string{"type": "virtual-kubelet"}))
	s.see(t, nativeSidecars, Failed, "old (v1.28.0)")
	s.see(t, nodeKernels, Warning, "older than 5.4: old (5.3.0)")
	s.see(t, virtualNodes, Warning, "cannot run on cloud")
	s.see(t, defaultStorageClass, Warning, "no default StorageClass")

	s = newFixture(t, node("new", "v1.34.0", "5.15.0", nil), &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{
		Name: "fast", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
	}})
	s.see(t, nativeSidecars, Passed, "1 node run native sidecars")
	s.see(t, nodeKernels, Passed, "older than 6.9")
	s.see(t, virtualNodes, Passed, "every node")
	s.see(t, defaultStorageClass, Passed, "(fast)")

	s.server.Forbid(clitest.Match{Verb: "list", Resource: "storageclasses"})
	s.see(t, defaultStorageClass, Skipped, "forbidden")
}

func TestControllers(t *testing.T) {
	const ours = "/usr/local/bin/controller"
	s := newFixture(t, deployment(datasetController, ours, 2, 2))
	s.see(t, controllers, Failed, "Deployment jindoruntime-controller in fluid-system not found")
	s = newFixture(t, deployment(datasetController, ours, 2, 2), deployment(runtimeController, ours, 2, 1))
	s.see(t, controllers, Warning, "jindoruntime-controller 1/2")
	s = newFixture(t, deployment(datasetController, ours, 2, 0), deployment(runtimeController, ours, 2, 2))
	s.see(t, controllers, Failed, "no pod is ready")
	s = newFixture(t, deployment(datasetController, ours, 2, 2), deployment(runtimeController, ours, 2, 2), deployment(names.Webhook, "webhook", 0, 0))
	s.see(t, controllers, Passed, "dataset-controller 2/2, jindoruntime-controller 2/2")
	s.see(t, webhookPods, Failed, "scaled to zero")
	s.see(t, fluidBeside, Passed, "no conflicting components")
	s.see(t, versions, Passed, "every component runs jindo:v1")
	s.see(t, leases, Failed, "Lease dataset.data.fluid.io")
	s = newFixture(t, deployment(datasetController, "dataset-controller", 1, 1), deployment("fluid-webhook", "fluid-webhook", 1, 1))
	s.see(t, fluidBeside, Failed, "remove Deployment dataset-controller, Deployment fluid-webhook first")
}

func TestNodePluginNamesTheMissingNodes(t *testing.T) {
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: names.SystemNamespace, Name: plugin}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: names.SystemNamespace, Name: "p", Labels: map[string]string{"app": plugin}}}
	pod.Spec.NodeName = "a"
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	driver := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: names.Driver}}
	driver.Spec.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecycleEphemeral}
	knows := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: storagev1.CSINodeSpec{
		Drivers: []storagev1.CSINodeDriver{{Name: names.Driver, NodeID: "a"}},
	}}
	s := newFixture(t, node("a", "v1.34.0", "6.18.0", nil), node("b", "v1.34.0", "6.18.0", nil), set, pod, driver, knows)
	s.see(t, nodePlugin, Failed, "ready on 1 of 2 nodes, not on b")
	s.see(t, csiDriver, Failed, "on b")
	s = newFixture(t, node("a", "v1.34.0", "6.18.0", nil), set, pod, driver, knows)
	s.see(t, nodePlugin, Passed, "1/1")
	s.see(t, csiDriver, Passed, "registered on every node")
}

func TestWebhook(t *testing.T) {
	s := newFixture(t)
	s.see(t, webhookConfiguration, Failed, "not found, so labelled pods get no sidecar")
	s.see(t, sidecarPolicy, Failed, "not found: pods without a sidecar would be admitted")
	s.see(t, injection, Failed, "the webhook was not called")
	s.see(t, refusesInvalid, Failed, "was accepted")

	s = newFixture(t,
		&admissionv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: names.PodWebhooks}, Webhooks: []admissionv1.MutatingWebhook{{Name: names.InjectionWebhook}},
		},
		&admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: names.SidecarPolicy}})
	s.see(t, webhookConfiguration, Failed, "is empty")
	s.see(t, sidecarPolicy, Failed, "no binding with the action Deny")
	refused := func(text string) {
		s.server.ClearRules()
		s.server.Fail(clitest.Match{Verb: "create", Resource: "pods"}, apierrors.NewInternalError(errors.New(text)))
	}
	refused(`failed calling webhook "x": failed to call webhook: Post "https://x": no endpoints available for service "jindo-webhook"`)
	s.see(t, injection, Failed, "labelled pods are refused: no pod of the webhook is ready")
	refused(`failed calling webhook "x": failed to call webhook: Post "https://x": x509: certificate signed by unknown authority`)
	s.see(t, injection, Failed, "does not trust the webhook's certificate")
	refused("ValidatingAdmissionPolicy 'jindo-sidecar-injected' denied request: the pod asks for its data")
	s.see(t, injection, Failed, "did not inject a labelled pod, and the sidecar policy refused")
	s.server.ClearRules()
	s.server.Forbid(clitest.Match{Verb: "create", Resource: "pods"})
	s.see(t, injection, Skipped, "you may not create pods in default")
}

func TestDataset(t *testing.T) {
	s := newFixture(t)
	s.see(t, datasetPhase, Failed, `Dataset "hbase" in namespace "default" not found`)
	s.see(t, runtimePhases, Failed, "no JindoRuntime serves it")
	s.see(t, certificates, Skipped, "no runtime")

	dataset := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "hbase"}}
	dataset.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "oss://bucket/", EncryptOptions: []v1alpha1.EncryptOption{{
		Name: "fs.oss.accessKeyId", ValueFrom: v1alpha1.EncryptOptionSource{SecretKeyRef: v1alpha1.SecretKeySelector{Name: "keys", Key: "id"}},
	}}}}
	dataset.Status.Phase = v1alpha1.NotBoundDatasetPhase
	dataset.Status.Conditions = []v1alpha1.DatasetCondition{{Type: v1alpha1.DatasetMountsReady, Status: corev1.ConditionFalse, Message: "no such bucket"}}
	runtime := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "hadoop", Annotations: map[string]string{v1alpha1.DatasetAnnotation: "hbase"},
	}}
	s = newFixture(t, dataset, runtime)
	s.see(t, datasetPhase, Failed, "it is NotBound: no such bucket")
	s.see(t, runtimePhases, Failed, "masters of JindoRuntime hadoop are not ready")
	s.see(t, certificates, Failed, "Secret hadoop-jindofs-master not found")
	s.see(t, credentials, Failed, `Secret "keys" in namespace "default" not found, which fs.oss.accessKeyId refers to`)
	s.see(t, claimBound, Skipped, "when the Dataset is Bound")

	keys := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "keys"}, Data: map[string][]byte{"key": []byte("x")}}
	s = newFixture(t, dataset, runtime, keys)
	s.see(t, credentials, Failed, `Secret keys has no value for the key "id"`)
	keys.Data["id"] = []byte("x")
	s = newFixture(t, dataset, runtime, keys)
	s.see(t, credentials, Passed, "Secret keys has the keys")
	s = newFixture(t, dataset, runtime, keys)
	s.server.Forbid(clitest.Match{Resource: "secrets"})
	s.see(t, credentials, Skipped, "forbidden")
}

func TestMembers(t *testing.T) {
	for name, test := range map[string]struct {
		collected *report.Runtime
		err       error
		run       func(context.Context, *checkContext) outcome
		state     State
		text      string
	}{
		"quorum":                  {reporttest.Healthy(), nil, quorum, Passed, "hadoop-jindofs-master-1 leads"},
		"a master is unreachable": {reporttest.Degraded(), nil, quorum, Warning, "2 of 3 masters reachable, not hadoop-jindofs-master-0"},
		"no leader":               {reporttest.Leaderless(), nil, quorum, Failed, "no master leads"},
		"no right":                {nil, errors.New("you may not"), quorum, Skipped, "cannot be reached: you may not"},
		"no response in time":     {nil, context.DeadlineExceeded, quorum, Failed, "in time"},
		"workers":                 {reporttest.Healthy(), nil, workersLive, Passed, "3/3 workers"},
		"a worker is unreachable": {reporttest.Degraded(), nil, workersLive, Warning, "1 of 3 workers lost: hadoop-jindofs-worker-1 (timeout)"},
		"the store":               {reporttest.Healthy(), nil, bucket, Passed, "workers reach oss://test-bucket/ (3,000 objects)"},
		"the store refuses":       {reporttest.Degraded(), nil, bucket, Failed, "403: the credentials lack oss:ListObjects"},
		"mounts are all alive":    {reporttest.Healthy(), nil, staleMounts, Passed, "all served"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newContext(&session.Session{}, &session.Cluster{}, "hbase")
			w.collect = func(context.Context) (*report.Runtime, error) { return test.collected, test.err }
			if o := test.run(t.Context(), w); o.state != test.state || !strings.Contains(o.text, test.text) {
				t.Errorf("got %s %q, want %s with %q", o.state, o.text, test.state, test.text)
			}
		})
	}
}
