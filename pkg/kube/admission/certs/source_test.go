package certs

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func cluster(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), admissionv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func source(c client.Client) *Source {
	return New(Options{Client: c, Namespace: "ns", Secret: "ca", Service: "w", Mutating: "m", Validating: "v"})
}

// service returns a client configuration that refers to the Service of the webhook.
func service(name string) admissionv1.WebhookClientConfig {
	return admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "ns", Name: name}}
}

func mutating(configs ...admissionv1.WebhookClientConfig) *admissionv1.MutatingWebhookConfiguration {
	none := admissionv1.SideEffectClassNone
	m := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "m"}}
	for i, config := range configs {
		m.Webhooks = append(m.Webhooks, admissionv1.MutatingWebhook{
			Name: string(rune('a'+i)) + ".example.com", ClientConfig: config, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		})
	}
	return m
}

func validating() *admissionv1.ValidatingWebhookConfiguration {
	none := admissionv1.SideEffectClassNone
	return &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "v"}, Webhooks: []admissionv1.ValidatingWebhook{{
		Name: "v.example.com", ClientConfig: service("w"), SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
	}}}
}

// trusts checks that a configuration trusts the certificate of a source.
func trusts(t *testing.T, caBundle []byte, s *Source) {
	t.Helper()
	leaf, err := s.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(caBundle)
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "w.ns.svc"}); err != nil {
		t.Errorf("the certificate is not trusted: %v", err)
	}
}

// Two replicas serve certificates that every webhook trusts, whichever starts first.
func TestTwoReplicas(t *testing.T) {
	c := cluster(t, mutating(service("w"), service("w")), validating())
	first, second := source(c), source(c)
	if first.Ready() == nil {
		t.Error("ready before the first sync")
	}
	for range 3 {
		first.sync(t.Context())
		second.sync(t.Context())
	}
	m, v := &admissionv1.MutatingWebhookConfiguration{}, &admissionv1.ValidatingWebhookConfiguration{}
	read(t, c, "m", m)
	read(t, c, "v", v)
	for _, s := range []*Source{first, second} {
		if err := s.Ready(); err != nil || len(s.Missing()) > 0 {
			t.Errorf("not ready: %v, %v", err, s.Missing())
		}
		for _, w := range m.Webhooks {
			trusts(t, w.ClientConfig.CABundle, s)
		}
		trusts(t, v.Webhooks[0].ClientConfig.CABundle, s)
	}
	if blocks := strings.Count(string(v.Webhooks[0].ClientConfig.CABundle), "BEGIN CERTIFICATE"); blocks != 1 {
		t.Errorf("%d authorities were created", blocks)
	}
	version := m.ResourceVersion
	first.sync(t.Context())
	read(t, c, "m", m)
	if m.ResourceVersion != version {
		t.Error("an unchanged object was written")
	}
}

func read(t *testing.T, c client.Client, name string, into client.Object) {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKey{Name: name}, into); err != nil {
		t.Fatal(err)
	}
}

// Configurations that do not exist or belong to another product do not affect
// readiness, and are reported.
func TestMissing(t *testing.T) {
	for name, test := range map[string]struct {
		objects []client.Object
		want    []string
	}{
		"none":    {nil, []string{"MutatingWebhookConfiguration m not found", "ValidatingWebhookConfiguration v not found"}},
		"one":     {[]client.Object{mutating(service("w"))}, []string{"ValidatingWebhookConfiguration v not found"}},
		"foreign": {[]client.Object{mutating(service("fluid-webhook")), validating()}, []string{"m belongs to another product"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, test.objects...)
			s := source(c)
			s.sync(t.Context())
			missing := strings.Join(s.Missing(), "\n")
			if err := s.Ready(); err != nil || len(s.Missing()) != len(test.want) {
				t.Errorf("ready: %v, missing %q", err, missing)
			}
			for _, want := range test.want {
				if !strings.Contains(missing, want) {
					t.Errorf("%q lacks %q", missing, want)
				}
			}
			if name == "foreign" {
				m := &admissionv1.MutatingWebhookConfiguration{}
				read(t, c, "m", m)
				if len(m.Webhooks[0].ClientConfig.CABundle) > 0 {
					t.Error("the webhook of another product was changed")
				}
			}
		})
	}
}

// A Secret that is deleted or overwritten is restored, and the certificate remains
// trusted.
func TestSecretIsRestored(t *testing.T) {
	c := cluster(t, mutating(service("w")), validating())
	s := source(c)
	s.sync(t.Context())
	before, _ := s.Certificate(nil)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "ca"}}
	for _, harm := range []func() error{
		func() error { return c.Delete(t.Context(), secret.DeepCopy()) },
		func() error {
			broken := &corev1.Secret{}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret), broken); err != nil {
				return err
			}
			broken.Data = map[string][]byte{certificatesKey: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}
			return c.Update(t.Context(), broken)
		},
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		s.sync(t.Context())
		s.sync(t.Context())
		if err := s.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		if after, _ := s.Certificate(nil); after != before {
			t.Error("another certificate is served")
		}
		m := &admissionv1.MutatingWebhookConfiguration{}
		read(t, c, "m", m)
		trusts(t, m.Webhooks[0].ClientConfig.CABundle, s)
	}
}

// The certificate is renewed after two thirds of its lifetime.
func TestRenewal(t *testing.T) {
	c := cluster(t)
	s := New(Options{Client: c, Namespace: "ns", Secret: "ca", Service: "w", Mutating: "m", Validating: "v", LeafLife: 600 * time.Millisecond * 3})
	s.sync(t.Context())
	first, _ := s.Certificate(nil)
	deadline := time.Now().Add(30 * time.Second)
	for {
		s.sync(t.Context())
		now, _ := s.Certificate(nil)
		if now != first {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the certificate is never replaced")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if s.Expires().Before(first.Leaf.NotAfter) {
		t.Error("the new certificate expires earlier")
	}
}
