package admission_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/admission"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// A labelled pod gets a sidecar, other pods do not, and a dry run creates nothing.
func TestInjection(t *testing.T) {
	s := start(t)
	s.up(t)
	namespace := s.namespace(t)
	s.dataset(t, namespace)
	for _, test := range []struct {
		name     string
		change   func(*corev1.Pod)
		sidecars int
		refused  string
	}{
		{"labelled", func(*corev1.Pod) {}, 1, ""},
		{"by the older label", func(p *corev1.Pod) { p.Labels = map[string]string{names.LabelInjectAlias: "true"} }, 1, ""},
		{"by both", func(p *corev1.Pod) { p.Labels[names.LabelInjectAlias] = "true" }, 1, ""},
		{"not labelled", func(p *corev1.Pod) { p.Labels = nil }, 0, ""},
		{"opted out", func(p *corev1.Pod) { p.Labels[names.LabelEnableInjection] = "false" }, 0, ""},
		{"without a claim", func(p *corev1.Pod) { p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{} }, 0, ""},
		{"of no Dataset", func(p *corev1.Pod) { p.Spec.Volumes[0].PersistentVolumeClaim.ClaimName = "nothing" }, 0, "create the Dataset first"},
		{"refusing to wait", func(p *corev1.Pod) { p.Annotations = map[string]string{names.AnnotationNotReady: "refuse"} }, 0, "rejects the pod until it is ready"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := pod(namespace, "imagenet")
			test.change(p)
			dry := p.DeepCopy()
			err := s.Create(t.Context(), dry, client.DryRunAll)
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Fatalf("error %v, want %q", err, test.refused)
			}
			if err != nil {
				return
			}
			if err := s.Create(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if got := sidecars(p); got != test.sidecars || sidecars(dry) != got {
				t.Errorf("%d sidecars, %d in the dry run, want %d", got, sidecars(dry), test.sidecars)
			}
		})
	}
	var claims corev1.PersistentVolumeClaimList
	var configs corev1.ConfigMapList
	var secrets corev1.SecretList
	err := errors.Join(s.List(t.Context(), &claims, client.InNamespace(namespace)), s.List(t.Context(), &configs, client.InNamespace(namespace)), s.List(t.Context(), &secrets, client.InNamespace(namespace)))
	for _, config := range configs.Items {
		if config.Name != "kube-root-ca.crt" {
			t.Errorf("the webhook created ConfigMap %s", config.Name)
		}
	}
	if err != nil || len(claims.Items)+len(secrets.Items) > 0 {
		t.Errorf("the webhook created %d claims and %d Secrets, error %v", len(claims.Items), len(secrets.Items), err)
	}
}

// A Dataset of another runtime is accepted while no JindoRuntime claims it, and
// rejected afterwards.
func TestUnclaimedDatasets(t *testing.T) {
	s := start(t)
	s.up(t)
	namespace := s.namespace(t)
	dataset := func(name, mountPoint string) *v1alpha1.Dataset {
		d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		d.Spec.Mounts = []v1alpha1.Mount{{MountPoint: mountPoint, Name: "a"}}
		return d
	}
	mountPoints := []string{"https://mirrors.example.com/hbase/", "pvc://testPVC", "oss://bucket/"}
	for i, mountPoint := range mountPoints {
		if err := s.Create(t.Context(), dataset(fmt.Sprintf("other-%d", i), mountPoint)); err != nil {
			t.Errorf("%s: %v", mountPoint, err)
		}
	}
	runtime := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "claimed"}}
	if err := s.Create(t.Context(), runtime); err != nil {
		t.Fatal(err)
	}
	for _, mountPoint := range mountPoints {
		eventually(t, "a claimed Dataset is rejected", func() error {
			err := s.Create(t.Context(), dataset("claimed", mountPoint), client.DryRunAll)
			if err == nil {
				return errors.New("it is accepted") // the runtime is not in the webhook's cache yet
			}
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.mounts[0]") {
				t.Errorf("%s: rejected with %v", mountPoint, err)
			}
			return nil
		})
	}
}

func TestValidation(t *testing.T) {
	s := start(t)
	s.up(t)
	namespace := s.namespace(t)
	runtime := func(name string, masters int32) *v1alpha1.JindoRuntime {
		r := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		r.Spec.Master.Replicas = &masters
		return r
	}
	for _, masters := range []int32{0, 2, 4, 5, -1} {
		err := s.Create(t.Context(), runtime("hadoop", masters))
		if err == nil || !strings.Contains(err.Error(), "write 3") {
			t.Errorf("%d masters: %v", masters, err)
		}
	}
	first := runtime("hadoop", 3)
	if err := s.Create(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := runtime("spark", 1)
	second.Annotations = map[string]string{v1alpha1.DatasetAnnotation: "hadoop"}
	eventually(t, "a second runtime of one Dataset is refused", func() error {
		err := s.Create(t.Context(), second.DeepCopy(), client.DryRunAll)
		if err == nil {
			return errors.New("it is accepted")
		}
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "JindoRuntime hadoop claims this Dataset already") {
			t.Errorf("refused with %v", err)
		}
		return nil
	})
	delete(second.Annotations, v1alpha1.DatasetAnnotation)
	if err := s.Create(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	second.Annotations = map[string]string{v1alpha1.DatasetAnnotation: "hadoop"}
	if err := s.Update(t.Context(), second.DeepCopy()); !apierrors.IsInvalid(err) {
		t.Errorf("an annotation that claims it is accepted later: %v", err)
	}
	// Updates that do not change the spec are not validated.
	second.Annotations, second.Finalizers = map[string]string{"a": "b"}, []string{"example.com/f"}
	if err := s.Update(t.Context(), second); err != nil {
		t.Errorf("a finalizer: %v", err)
	}
}

// Without the webhook, labelled pods are rejected and other pods are not. Custom
// resources are validated by their schema, and can be deleted.
func TestWebhookUnavailable(t *testing.T) {
	s := start(t)
	r := s.up(t)
	namespace := s.namespace(t)
	s.dataset(t, namespace)
	r.end()
	err := s.Create(t.Context(), pod(namespace, "imagenet"))
	if err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("a labelled pod: %v", err)
	}
	other := pod(namespace, "imagenet")
	other.Labels = nil
	if err := s.Create(t.Context(), other); err != nil {
		t.Errorf("another pod: %v", err)
	}
	runtime := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hadoop", Finalizers: []string{"example.com/f"}}}
	if err := s.Create(t.Context(), runtime); err != nil {
		t.Errorf("a runtime: %v", err)
	}
	runtime.Finalizers = nil
	if err := errors.Join(s.Update(t.Context(), runtime), s.Delete(t.Context(), runtime)); err != nil {
		t.Errorf("its deletion: %v", err)
	}
}

// Without the webhook configuration, the policy rejects pods. A configuration that is
// created again gets the CA bundle automatically.
func TestConfigurationDeleted(t *testing.T) {
	s := start(t)
	r := s.up(t)
	namespace := s.namespace(t)
	s.dataset(t, namespace)
	configuration := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: names.PodWebhooks}}
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(configuration), configuration); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"labelled":             {func(*corev1.Pod) {}, "did not inject the sidecar. Apply Jindo's install.yaml again"},
		"by the older label":   {func(p *corev1.Pod) { p.Labels = map[string]string{names.LabelInjectAlias: "true"} }, "did not inject the sidecar"},
		"a sidecar of its own": {func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{sidecar(true)} }, "its volume jindo-fuse is missing"},
		"one that ends":        {func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{sidecar(false)} }, "did not inject the sidecar"},
		"not labelled":         {func(p *corev1.Pod) { p.Labels = nil }, ""},
		"opted out":            {func(p *corev1.Pod) { p.Labels[names.LabelEnableInjection] = "false" }, ""},
		"has nothing to serve": {func(p *corev1.Pod) { p.Annotations = map[string]string{names.AnnotationInjection: "none"} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eventually(t, "the policy decides", func() error {
				p := pod(namespace, "imagenet")
				test.change(p)
				err := s.Create(t.Context(), p, client.DryRunAll)
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					return fmt.Errorf("error %w, want %q", err, test.want)
				}
				return nil
			})
		})
	}
	status, err := r.ready(t.Context())
	if err != nil || !strings.Contains(status, "MutatingWebhookConfiguration fluid-pod-admission-webhook not found") {
		t.Errorf("readyz returned %q, error %v", status, err)
	}
	configuration.ObjectMeta = metav1.ObjectMeta{Name: configuration.Name}
	for i := range configuration.Webhooks {
		configuration.Webhooks[i].ClientConfig.CABundle = nil
	}
	s.make(t, configuration)
	eventually(t, "the webhook is called again", func() error {
		p := pod(namespace, "imagenet")
		if err := s.Create(t.Context(), p, client.DryRunAll); err != nil {
			return err
		}
		if sidecars(p) != 1 {
			return errors.New("no sidecar was injected")
		}
		return nil
	})
}

func sidecar(always bool) corev1.Container {
	c := corev1.Container{Name: names.SidecarContainer, Image: "jindo:test"}
	if always {
		policy := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &policy
	}
	return c
}

// Authorities and certificates are renewed every few seconds while pods are created and
// connections to both replicas are opened, and no request fails.
func TestRotation(t *testing.T) {
	s := start(t)
	s.deleteAuthorities(t)
	t.Cleanup(func() { s.deleteAuthorities(t) })
	short := func(o *admission.Options) { o.AuthorityLife, o.LeafLife = 12*time.Second, 4*time.Second }
	a, b := s.replica(t, short), s.replica(t, short)
	s.install(t, between(t, a, b))
	a.waitReady(t)
	b.waitReady(t)
	s.waitCalled(t)
	namespace := s.namespace(t)
	s.dataset(t, namespace)
	authorities, leaves, pods := map[string]bool{}, map[string]bool{}, 0
	for until := time.Now().Add(40 * time.Second); time.Now().Before(until); pods++ {
		p := pod(namespace, "imagenet")
		if err := s.Create(t.Context(), p); err != nil {
			t.Fatalf("pod %d: %v", pods, err)
		}
		if sidecars(p) != 1 {
			t.Fatalf("pod %d has %d sidecars", pods, sidecars(p))
		}
		configuration := &admissionv1.MutatingWebhookConfiguration{}
		if err := s.Get(t.Context(), client.ObjectKey{Name: names.PodWebhooks}, configuration); err != nil {
			t.Fatal(err)
		}
		authorities[string(configuration.Webhooks[0].ClientConfig.CABundle)] = true
		for _, r := range []*replica{a, b} {
			leaves[handshake(t, r, configuration.Webhooks[0].ClientConfig.CABundle)] = true
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("%d pods, %d bundles, %d certificates", pods, len(authorities), len(leaves))
	if len(authorities) < 3 || len(leaves) < 6 {
		t.Errorf("%d bundles and %d certificates: no rotation happened", len(authorities), len(leaves))
	}
}

// deleteAuthorities makes the next replica create new authorities.
func (s *apiserver) deleteAuthorities(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: names.SystemNamespace, Name: names.WebhookAuthority}}
	if err := s.Delete(context.WithoutCancel(t.Context()), secret); client.IgnoreNotFound(err) != nil {
		t.Error(err)
	}
}

// handshake returns the serial number of the certificate of a replica, which must be
// trusted by the bundle.
func handshake(t *testing.T, r *replica, bundle []byte) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	dialer := &tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "localhost"}}
	connection, err := dialer.DialContext(t.Context(), "tcp", r.address)
	if err != nil {
		t.Fatalf("connecting to %s: %v", r.address, err)
	}
	defer func() { _ = connection.Close() }()
	secured, ok := connection.(*tls.Conn)
	if !ok {
		t.Fatal("not a TLS connection")
	}
	return secured.ConnectionState().PeerCertificates[0].SerialNumber.String()
}
