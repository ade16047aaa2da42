package inject

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// seesPods reports whether the rules of a webhook cover the creation of pods.
func seesPods(rules []admissionv1.RuleWithOperations) bool {
	has := func(list []string, words ...string) bool {
		return slices.ContainsFunc(list, func(item string) bool { return slices.Contains(words, item) })
	}
	return slices.ContainsFunc(rules, func(r admissionv1.RuleWithOperations) bool {
		create := slices.Contains(r.Operations, admissionv1.Create) || slices.Contains(r.Operations, admissionv1.OperationAll)
		scope := r.Scope == nil || *r.Scope != admissionv1.ClusterScope
		return create && scope && has(r.APIGroups, "", "*") && has(r.APIVersions, "v1", "*") && has(r.Resources, "pods", "*", "*/*")
	})
}

// called reports whether the API server calls a webhook for a pod, and why.
func called(w *admissionv1.MutatingWebhook, pod, namespace map[string]string) (bool, string) {
	for _, part := range []struct {
		what     string
		selector *metav1.LabelSelector
		labels   map[string]string
	}{
		{"namespaceSelector", w.NamespaceSelector, namespace}, {"objectSelector", w.ObjectSelector, pod},
	} {
		if ok, why := selects(part.selector, part.labels); !ok {
			return false, part.what + ": " + why
		}
	}
	if len(w.MatchConditions) > 0 {
		return true, fmt.Sprintf("selectors match; depends on %d matchConditions", len(w.MatchConditions))
	}
	return true, "selectors match"
}

// selects reports whether a selector matches, or the first requirement that does not.
func selects(selector *metav1.LabelSelector, of map[string]string) (bool, string) {
	if selector == nil {
		return true, ""
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, fmt.Sprintf("invalid: %v", err)
	}
	requirements, _ := parsed.Requirements()
	for _, r := range requirements {
		if r.Matches(labels.Set(of)) {
			continue
		}
		value, has := of[r.Key()]
		if !has {
			return false, fmt.Sprintf("requires %s, and the label is absent", r.String())
		}
		return false, fmt.Sprintf("requires %s, and it is %q", r.String(), value)
	}
	return true, ""
}

// webhooks returns the webhooks of all configurations for the creation of pods, ours
// first.
func webhooks(configurations []admissionv1.MutatingWebhookConfiguration, pod, namespace map[string]string) []Webhook {
	var ours, others []Webhook
	for i := range configurations {
		c := &configurations[i]
		for j := range c.Webhooks {
			w := &c.Webhooks[j]
			if !seesPods(w.Rules) {
				continue
			}
			row := Webhook{Configuration: c.Name, Name: w.Name, Ours: c.Name == names.PodWebhooks}
			row.Called, row.Why = called(w, pod, namespace)
			if row.Ours {
				ours = append(ours, row)
			} else {
				others = append(others, row)
			}
		}
	}
	return append(ours, others...)
}
