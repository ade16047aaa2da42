package inject

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// surroundings is the state of the cluster that concerns all pods.
type surroundings struct {
	configurations []admissionv1.MutatingWebhookConfiguration
	// known reports whether the configurations could be read.
	known      bool
	ours       *admissionv1.MutatingWebhookConfiguration
	endpoints  int
	trusted    bool
	policy     string
	failures   []string
	namespaces map[string]map[string]string
}

// readSurroundings reads the surroundings. Objects that cannot be read are listed in
// the failures.
func readSurroundings(ctx context.Context, c client.Reader) *surroundings {
	a := &surroundings{policy: PolicyUnknown, namespaces: map[string]map[string]string{}}
	fail := func(what string, err error) bool {
		if err != nil {
			a.failures = append(a.failures, fmt.Sprintf("read %s: %v", what, err))
		}
		return err != nil
	}
	var configurations admissionv1.MutatingWebhookConfigurationList
	if !fail("the MutatingWebhookConfigurations", c.List(ctx, &configurations)) {
		a.configurations, a.known = configurations.Items, true
	}
	for i := range a.configurations {
		if a.configurations[i].Name == names.PodWebhooks {
			a.ours = &a.configurations[i]
		}
	}
	a.trusted = a.ours != nil && len(a.ours.Webhooks) > 0
	if a.ours != nil {
		for _, w := range a.ours.Webhooks {
			a.trusted = a.trusted && len(w.ClientConfig.CABundle) > 0
		}
	}
	var slices discoveryv1.EndpointSliceList
	err := c.List(ctx, &slices, client.InNamespace(names.SystemNamespace), client.MatchingLabels{discoveryv1.LabelServiceName: names.Webhook})
	if !fail("the webhook's EndpointSlices", err) {
		a.endpoints = ready(slices.Items)
	} else {
		a.endpoints = -1
	}
	policy, err := policyOf(ctx, c)
	if !fail("the policy", err) {
		a.policy = policy
	}
	return a
}

func ready(slices []discoveryv1.EndpointSlice) int {
	addresses := map[string]bool{}
	for _, s := range slices {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			for _, address := range e.Addresses {
				addresses[address] = true
			}
		}
	}
	return len(addresses)
}

func policyOf(ctx context.Context, c client.Reader) (string, error) {
	var policy admissionv1.ValidatingAdmissionPolicy
	err := c.Get(ctx, client.ObjectKey{Name: names.SidecarPolicy}, &policy)
	if apierrors.IsNotFound(err) {
		return PolicyAbsent, nil
	}
	if err != nil {
		return "", fmt.Errorf("ValidatingAdmissionPolicy %s: %w", names.SidecarPolicy, err)
	}
	var bindings admissionv1.ValidatingAdmissionPolicyBindingList
	if err := c.List(ctx, &bindings); err != nil {
		return "", fmt.Errorf("the bindings of ValidatingAdmissionPolicies: %w", err)
	}
	for _, b := range bindings.Items {
		if b.Spec.PolicyName == names.SidecarPolicy {
			return PolicyBound, nil
		}
	}
	return PolicyNotBound, nil
}

// namespace returns the labels of a namespace. If it cannot be read, they are the
// labels that every namespace has.
func (a *surroundings) namespace(ctx context.Context, c client.Reader, name string) (map[string]string, error) {
	if labels, has := a.namespaces[name]; has {
		return labels, nil
	}
	var n corev1.Namespace
	err := c.Get(ctx, client.ObjectKey{Name: name}, &n)
	labels := map[string]string{}
	for key, value := range n.Labels {
		labels[key] = value
	}
	labels[corev1.LabelMetadataName] = name
	a.namespaces[name] = labels
	if err != nil {
		return labels, fmt.Errorf("read Namespace %s: %w", name, err)
	}
	return labels, nil
}
