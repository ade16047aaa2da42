package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	admissionv1ac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// FieldManager is the field manager that owns the field caBundle.
const FieldManager = "jindo-webhook"

// configuration holds the caBundles of a webhook configuration.
type configuration struct {
	kind, name string
	// found reports that the configuration exists and sends requests to the
	// Service of this webhook.
	found bool
	// foreign reports that the configuration belongs to another product.
	foreign         bool
	resourceVersion string
	webhooks        []trust
}

// trust is the caBundle of one webhook.
type trust struct {
	name     string
	caBundle []byte
}

func (c configuration) missing() string {
	if c.foreign {
		return fmt.Sprintf("%s %s belongs to another product: remove that, and apply Jindo's install.yaml", c.kind, c.name)
	}
	return fmt.Sprintf("%s %s not found: apply Jindo's install.yaml", c.kind, c.name)
}

// trusts reports whether every webhook of the configuration trusts a certificate.
func (c configuration) trusts(certificate *x509.Certificate) bool {
	for _, w := range c.webhooks {
		trusted, err := parseCertificates(w.caBundle)
		if err != nil {
			return false
		}
		found := false
		for _, t := range trusted {
			found = found || t.Equal(certificate)
		}
		if !found {
			return false
		}
	}
	return len(c.webhooks) > 0
}

// configurations reads both configurations, which need not exist.
func (s *Source) configurations(ctx context.Context) ([]configuration, error) {
	mutating, validating := &admissionv1.MutatingWebhookConfiguration{}, &admissionv1.ValidatingWebhookConfiguration{}
	m := configuration{kind: "MutatingWebhookConfiguration", name: s.o.Mutating}
	v := configuration{kind: "ValidatingWebhookConfiguration", name: s.o.Validating}
	if err := s.read(ctx, m, mutating); err != nil {
		return nil, err
	}
	if err := s.read(ctx, v, validating); err != nil {
		return nil, err
	}
	m.resourceVersion, v.resourceVersion = mutating.ResourceVersion, validating.ResourceVersion
	for _, w := range mutating.Webhooks {
		s.add(&m, w.Name, w.ClientConfig)
	}
	for _, w := range validating.Webhooks {
		s.add(&v, w.Name, w.ClientConfig)
	}
	for _, c := range []*configuration{&m, &v} {
		c.found = len(c.webhooks) > 0
		c.foreign = !c.found && c.resourceVersion != ""
	}
	return []configuration{m, v}, nil
}

func (s *Source) read(ctx context.Context, c configuration, into client.Object) error {
	err := s.o.Client.Get(ctx, client.ObjectKey{Name: c.name}, into)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read %s %s: %w", c.kind, c.name, err)
	}
	return nil
}

// add adds a webhook if it sends requests to the Service. A webhook with a URL is
// added too: API servers that cannot reach Services use one, and so do tests.
func (s *Source) add(c *configuration, name string, config admissionv1.WebhookClientConfig) {
	service := config.Service
	if service != nil && (service.Name != s.o.Service || service.Namespace != s.o.Namespace) {
		return
	}
	c.webhooks = append(c.webhooks, trust{name, config.CABundle})
}

// publish adds the authorities to the caBundles of the existing configurations. The
// resource version prevents it from overwriting a change that it has not read.
func (s *Source) publish(ctx context.Context, configurations []configuration) error {
	want := bundle(s.authorities)
	var failed error
	for i := range configurations {
		c := &configurations[i]
		if !c.found || c.has(want) {
			continue
		}
		err := s.o.Client.Apply(ctx, c.apply(want), client.FieldOwner(FieldManager), client.ForceOwnership)
		if apierrors.IsNotFound(err) {
			c.found = false
			continue
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("publish the CA bundle in %s %s: %w", c.kind, c.name, err))
			continue
		}
		for n := range c.webhooks {
			c.webhooks[n].caBundle = want
		}
		s.o.Logger.Info("published CA bundle", "configuration", c.name, "authorities", len(s.authorities))
	}
	return failed
}

func (c configuration) has(bundle []byte) bool {
	for _, w := range c.webhooks {
		if !bytes.Equal(w.caBundle, bundle) {
			return false
		}
	}
	return true
}

// apply returns an apply configuration that sets the bundle of each webhook. Its
// resource version makes the request fail if the configuration was changed or
// deleted.
func (c configuration) apply(bundle []byte) runtime.ApplyConfiguration {
	if c.kind == "MutatingWebhookConfiguration" {
		apply := admissionv1ac.MutatingWebhookConfiguration(c.name).WithResourceVersion(c.resourceVersion)
		for _, w := range c.webhooks {
			apply.WithWebhooks(admissionv1ac.MutatingWebhook().WithName(w.name).
				WithClientConfig(admissionv1ac.WebhookClientConfig().WithCABundle(bundle...)))
		}
		return apply
	}
	apply := admissionv1ac.ValidatingWebhookConfiguration(c.name).WithResourceVersion(c.resourceVersion)
	for _, w := range c.webhooks {
		apply.WithWebhooks(admissionv1ac.ValidatingWebhook().WithName(w.name).
			WithClientConfig(admissionv1ac.WebhookClientConfig().WithCABundle(bundle...)))
	}
	return apply
}
