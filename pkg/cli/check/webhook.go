package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/jindo-io/jindo/pkg/cli/forward"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

func webhookPods(ctx context.Context, w *checkContext) outcome {
	return w.deployment(ctx, names.Webhook)
}

// bundles returns the CA bundles of every webhook of our configurations by name. If
// they are unknown the map is nil, and the outcome has the reason.
func bundles(ctx context.Context, w *checkContext) (map[string][]byte, outcome) {
	var mutating admissionv1.MutatingWebhookConfiguration
	switch err := w.cluster.Get(ctx, client.ObjectKey{Name: names.PodWebhooks}, &mutating); {
	case apierrors.IsNotFound(err):
		return nil, bad("MutatingWebhookConfiguration %s not found, so labelled pods get no sidecar: apply install.yaml", names.PodWebhooks)
	case err != nil:
		return nil, w.unread("read MutatingWebhookConfiguration "+names.PodWebhooks, err)
	}
	found := map[string][]byte{}
	for _, h := range mutating.Webhooks {
		found[h.Name] = h.ClientConfig.CABundle
	}
	if _, ok := found[names.InjectionWebhook]; !ok {
		return nil, bad("MutatingWebhookConfiguration %s has no entry %s: apply install.yaml", names.PodWebhooks, names.InjectionWebhook)
	}
	var validating admissionv1.ValidatingWebhookConfiguration
	switch err := w.cluster.Get(ctx, client.ObjectKey{Name: names.ValidatingWebhooks}, &validating); {
	case apierrors.IsNotFound(err):
		return found, warn("ValidatingWebhookConfiguration %s not found: only the schema and the controllers refuse invalid objects", names.ValidatingWebhooks)
	case err != nil:
		return nil, w.unread("read ValidatingWebhookConfiguration "+names.ValidatingWebhooks, err)
	}
	for _, h := range validating.Webhooks {
		found[h.Name] = h.ClientConfig.CABundle
	}
	return found, good("")
}

func webhookConfiguration(ctx context.Context, w *checkContext) outcome {
	found, o := bundles(ctx, w)
	if found == nil {
		return o
	}
	var ends time.Time
	for name, bundle := range found {
		certificates, err := parseCertificates(bundle)
		if err != nil {
			return bad("the CA bundle of %s %v: the webhook writes it when it starts: read its log", name, err)
		}
		// Authorities overlap: the last certificate to expire counts.
		last := certificates[0].NotAfter
		for _, c := range certificates {
			if c.NotAfter.After(last) {
				last = c.NotAfter
			}
		}
		if ends.IsZero() || last.Before(ends) {
			ends = last
		}
	}
	left := ends.Sub(w.now())
	if left <= 0 {
		return bad("the CA bundle expired %s ago: the webhook renews it when it runs: read its log", duration.HumanDuration(-left))
	}
	if o.state == Warning {
		return o
	}
	return good("configurations have a CA bundle valid for %s", duration.HumanDuration(left))
}

// parseCertificates parses PEM; the error completes a sentence.
func parseCertificates(bundle []byte) ([]*x509.Certificate, error) {
	if len(bundle) == 0 {
		return nil, errors.New("is empty")
	}
	var found []*x509.Certificate
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("is damaged: %w", err)
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, errors.New("holds no certificate")
	}
	return found, nil
}

// webhookCertificate checks the certificates that the webhook's pods serve with,
// which exist in their memory only.
func webhookCertificate(ctx context.Context, w *checkContext) outcome {
	found, o := bundles(ctx, w)
	if found == nil {
		return skip("the configuration cannot be read: %s", o.text)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(found[names.InjectionWebhook]) {
		return skip("the CA bundle is empty")
	}
	var pods corev1.PodList
	if err := w.cluster.List(ctx, &pods, client.InNamespace(names.SystemNamespace), client.MatchingLabels{"app": names.Webhook}); err != nil {
		return w.unread("list the webhook's pods", err)
	}
	forwarder := forward.New(w.cluster.Config, names.SystemNamespace)
	checked, least := 0, time.Duration(0)
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !health.PodReady(pod) {
			continue
		}
		leaf, err := serving(ctx, forwarder, pod.Name)
		var forbidden *forward.ForbiddenError
		switch {
		case errors.As(err, &forbidden), apierrors.IsForbidden(err):
			return skip("you may not forward ports to pods of %s", names.SystemNamespace)
		case err != nil:
			return warn("read the certificate of %s: %v", pod.Name, err)
		}
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: names.Webhook + "." + names.SystemNamespace + ".svc", CurrentTime: w.now()})
		if err != nil {
			return bad("the CA bundle does not verify the certificate of %s, so API servers do not call it: %v", pod.Name, err)
		}
		if left := leaf.NotAfter.Sub(w.now()); checked == 0 || left < least {
			least = left
		}
		checked++
	}
	if checked == 0 {
		return skip("no pod of the webhook is ready")
	}
	return good("the CA bundle verifies the webhook's certificate (valid for %s)", duration.HumanDuration(least))
}

// serving returns the certificate that a pod serves with; the caller verifies it.
func serving(ctx context.Context, forwarder *forward.Forwarder, pod string) (*x509.Certificate, error) {
	conn, err := forwarder.Dial(ctx, pod, names.WebhookPort)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the pod
	}
	defer func() { _ = conn.Close() }()
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake with %s: %w", pod, err)
	}
	return secured.ConnectionState().PeerCertificates[0], nil
}

func sidecarPolicy(ctx context.Context, w *checkContext) outcome {
	var policy admissionv1.ValidatingAdmissionPolicy
	const without = "pods without a sidecar would be admitted"
	switch err := w.cluster.Get(ctx, client.ObjectKey{Name: names.SidecarPolicy}, &policy); {
	case apierrors.IsNotFound(err):
		return bad("ValidatingAdmissionPolicy %s not found: %s; apply install.yaml", names.SidecarPolicy, without)
	case err != nil:
		return w.unread("read ValidatingAdmissionPolicy "+names.SidecarPolicy, err)
	}
	var all admissionv1.ValidatingAdmissionPolicyBindingList
	if err := w.cluster.List(ctx, &all); err != nil {
		return w.unread("list ValidatingAdmissionPolicyBindings", err)
	}
	for _, b := range all.Items {
		if b.Spec.PolicyName != names.SidecarPolicy {
			continue
		}
		for _, action := range b.Spec.ValidationActions {
			if action == admissionv1.Deny {
				return good("the sidecar policy is bound")
			}
		}
	}
	return bad("ValidatingAdmissionPolicy %s has no binding with the action Deny: %s; apply install.yaml", names.SidecarPolicy, without)
}

// unreached returns a sentence that explains why an API server could not call a
// webhook, or "" if err has another cause.
func unreached(err error) string {
	text := err.Error()
	if !strings.Contains(text, "failed calling webhook") && !strings.Contains(text, "failed to call webhook") {
		return ""
	}
	for _, known := range []struct{ part, sentence string }{
		{"x509:", "the API server does not trust the webhook's certificate: the CA bundle in the configuration is not the webhook's"},
		{"no endpoints available", "no pod of the webhook is ready"},
		{"not found", "the webhook's Service was not found: apply install.yaml"},
		{"connection refused", "the webhook's Service refuses connections"},
		{"context deadline exceeded", "the webhook did not respond in time: a NetworkPolicy or a firewall between API server and pods may be in the way"},
		{"i/o timeout", "the API server cannot reach the webhook's pods: a NetworkPolicy or a firewall may be in the way"},
		{"no route to host", "the API server has no route to the webhook's pods"},
	} {
		if strings.Contains(text, known.part) {
			return known.sentence
		}
	}
	return text
}
