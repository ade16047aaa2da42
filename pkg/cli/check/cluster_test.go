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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/test/cli/clitest"
	"github.com/jindo-io/jindo/test/cli/reporttest"
)

// stand is a fake cluster and the world that looks at it.
type stand struct {
	server *clitest.Server
	world  *world
}

func newStand(t *testing.T, objects ...client.Object) *stand {
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
	w := newWorld(&session.Session{Name: "kubectl jindo"}, &session.Cluster{Config: config, Client: c, Namespace: "default"}, "hbase")
	w.collect = func(context.Context) (*report.Runtime, error) { return reporttest.Healthy(), nil }
	return &stand{server, w}
}

func (s *stand) see(t *testing.T, look func(context.Context, *world) outcome, state State, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if o := look(ctx, s.world); o.state != state || !strings.Contains(o.text, text) {
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
	s := newStand(t,
		node("new", "v1.34.0", "6.18.0", nil), node("old", "v1.28.0", "5.3.0", nil),
		node("cloud", "v1.0.0", "", map[string]string{"type": "virtual-kubelet"}))
	s.see(t, nativeSidecars, Failed, "old (v1.28.0)")
	s.see(t, nodeKernels, Warning, "older than 5.4: old (5.3.0)")
	s.see(t, virtualNodes, Warning, "cannot run on cloud")
	s.see(t, defaultStorageClass, Warning, "no StorageClass is the default")

	s = newStand(t, node("new", "v1.34.0", "5.15.0", nil), &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{
		Name: "fast", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
	}})
	s.see(t, nativeSidecars, Passed, "1 node run native sidecars")
	s.see(t, nodeKernels, Passed, "older than 6.9")
	s.see(t, virtualNodes, Passed, "every node")
	s.see(t, defaultStorageClass, Passed, "(fast)")

	s.server.Forbid(clitest.Match{Verb: "list", Resource: "storageclasses"})
	s.see(t, defaultStorageClass, Skipped, "you have no right")
}

func TestControllers(t *testing.T) {
	const ours = "/usr/local/bin/controller"
	s := newStand(t, deployment(datasetController, ours, 2, 2))
	s.see(t, controllers, Failed, "no Deployment jindoruntime-controller in fluid-system")
	s = newStand(t, deployment(datasetController, ours, 2, 2), deployment(runtimeController, ours, 2, 1))
	s.see(t, controllers, Warning, "jindoruntime-controller 1/2")
	s = newStand(t, deployment(datasetController, ours, 2, 0), deployment(runtimeController, ours, 2, 2))
	s.see(t, controllers, Failed, "no pod is ready")
	s = newStand(t, deployment(datasetController, ours, 2, 2), deployment(runtimeController, ours, 2, 2), deployment(names.Webhook, "webhook", 0, 0))
	s.see(t, controllers, Passed, "dataset-controller 2/2, jindoruntime-controller 2/2")
	s.see(t, webhookPods, Failed, "scaled to zero")
	s.see(t, fluidBeside, Passed, "none of Fluid's parts")
	s.see(t, versions, Passed, "every part runs jindo:v1")
	s.see(t, leases, Failed, "Lease dataset.data.fluid.io")
	s = newStand(t, deployment(datasetController, "dataset-controller", 1, 1), deployment("fluid-webhook", "fluid-webhook", 1, 1))
	s.see(t, fluidBeside, Failed, "remove Deployment dataset-controller, Deployment fluid-webhook first")
}

func TestNodePluginNamesWhereItIsNot(t *testing.T) {
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: names.SystemNamespace, Name: plugin}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: names.SystemNamespace, Name: "p", Labels: map[string]string{"app": plugin}}}
	pod.Spec.NodeName = "a"
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	driver := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: names.Driver}}
	driver.Spec.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecycleEphemeral}
	knows := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: storagev1.CSINodeSpec{
		Drivers: []storagev1.CSINodeDriver{{Name: names.Driver, NodeID: "a"}},
	}}
	s := newStand(t, node("a", "v1.34.0", "6.18.0", nil), node("b", "v1.34.0", "6.18.0", nil), set, pod, driver, knows)
	s.see(t, nodePlugin, Failed, "ready on 1 of 2 nodes, not on b")
	s.see(t, csiDriver, Failed, "on b")
	s = newStand(t, node("a", "v1.34.0", "6.18.0", nil), set, pod, driver, knows)
	s.see(t, nodePlugin, Passed, "1/1")
	s.see(t, csiDriver, Passed, "every kubelet")
}

func TestWebhook(t *testing.T) {
	s := newStand(t)
	s.see(t, webhookConfiguration, Failed, "no MutatingWebhookConfiguration")
	s.see(t, sidecarPolicy, Failed, "no ValidatingAdmissionPolicy")
	s.see(t, injection, Failed, "the webhook was not asked")
	s.see(t, refusesBad, Failed, "was accepted")

	s = newStand(t,
		&admissionv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: names.PodWebhooks}, Webhooks: []admissionv1.MutatingWebhook{{Name: names.InjectionWebhook}},
		},
		&admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: names.SidecarPolicy}})
	s.see(t, webhookConfiguration, Failed, "is empty")
	s.see(t, sidecarPolicy, Failed, "bound nowhere")
	refused := func(text string) {
		s.server.ClearRules()
		s.server.Fail(clitest.Match{Verb: "create", Resource: "pods"}, apierrors.NewInternalError(errors.New(text)))
	}
	refused(`failed calling webhook "x": failed to call webhook: Post "https://x": no endpoints available for service "jindo-webhook"`)
	s.see(t, injection, Failed, "labelled pods are refused: no pod of the webhook is ready")
	refused(`failed calling webhook "x": failed to call webhook: Post "https://x": x509: certificate signed by unknown authority`)
	s.see(t, injection, Failed, "does not trust the webhook's certificate")
	refused("ValidatingAdmissionPolicy 'jindo-sidecar-injected' denied request: the pod asks for its data")
	s.see(t, injection, Failed, "did not inject a labelled pod, and the policy behind it refused")
	s.server.ClearRules()
	s.server.Forbid(clitest.Match{Verb: "create", Resource: "pods"})
	s.see(t, injection, Skipped, "you may not create pods in default")
}

func TestDataset(t *testing.T) {
	s := newStand(t)
	s.see(t, datasetPhase, Failed, `there is no Dataset "hbase" in namespace "default"`)
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
	s = newStand(t, dataset, runtime)
	s.see(t, datasetPhase, Failed, "it is NotBound: no such bucket")
	s.see(t, runtimePhases, Failed, "masters of JindoRuntime hadoop are not ready")
	s.see(t, certificates, Failed, "no Secret hadoop-jindofs-master")
	s.see(t, credentials, Failed, `no Secret "keys" in namespace "default", which fs.oss.accessKeyId asks for`)
	s.see(t, claimBound, Skipped, "before it is Bound")

	keys := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "keys"}, Data: map[string][]byte{"key": []byte("x")}}
	s = newStand(t, dataset, runtime, keys)
	s.see(t, credentials, Failed, `Secret keys has no value at key "id"`)
	keys.Data["id"] = []byte("x")
	s = newStand(t, dataset, runtime, keys)
	s.see(t, credentials, Passed, "Secret keys has the keys")
	s = newStand(t, dataset, runtime, keys)
	s.server.Forbid(clitest.Match{Resource: "secrets"})
	s.see(t, credentials, Skipped, "you have no right")
}

func TestMembers(t *testing.T) {
	for name, test := range map[string]struct {
		collected *report.Runtime
		err       error
		look      func(context.Context, *world) outcome
		state     State
		text      string
	}{
		"quorum":               {reporttest.Healthy(), nil, quorum, Passed, "hadoop-jindofs-master-1 leads"},
		"a master is gone":     {reporttest.Degraded(), nil, quorum, Warning, "2 of 3 masters answer, not hadoop-jindofs-master-0"},
		"nobody leads":         {reporttest.Leaderless(), nil, quorum, Failed, "no master leads"},
		"no right":             {nil, errors.New("you may not"), quorum, Skipped, "cannot be asked: you may not"},
		"nobody in time":       {nil, context.DeadlineExceeded, quorum, Failed, "in time"},
		"workers":              {reporttest.Healthy(), nil, workersLive, Passed, "3/3 workers"},
		"a worker is gone":     {reporttest.Degraded(), nil, workersLive, Warning, "1 of 3 workers lost: hadoop-jindofs-worker-1 (timeout)"},
		"the store":            {reporttest.Healthy(), nil, bucket, Passed, "workers reach oss://test-bucket/ (3000 objects)"},
		"the store refuses":    {reporttest.Degraded(), nil, bucket, Failed, "403: the credentials lack oss:ListObjects"},
		"mounts are all alive": {reporttest.Healthy(), nil, staleMounts, Passed, "all served"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(&session.Session{}, &session.Cluster{}, "hbase")
			w.collect = func(context.Context) (*report.Runtime, error) { return test.collected, test.err }
			if o := test.look(t.Context(), w); o.state != test.state || !strings.Contains(o.text, test.text) {
				t.Errorf("got %s %q, want %s with %q", o.state, o.text, test.state, test.text)
			}
		})
	}
}
