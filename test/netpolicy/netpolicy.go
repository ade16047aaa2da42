// Package netpolicy evaluates NetworkPolicies as Kubernetes specifies them, for tests
// on clusters and manifests whose network does not enforce them.
package netpolicy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Pod is one end of a connection.
type Pod struct {
	Namespace string
	// NamespaceLabels do not include kubernetes.io/metadata.name, which every
	// namespace has.
	NamespaceLabels map[string]string
	Labels          map[string]string
	// Outside is true for an end that is no pod, such as a node or a store.
	Outside bool
}

// Policies are the NetworkPolicies of a cluster.
type Policies []*networkingv1.NetworkPolicy

// DefaultDeny returns a policy that allows nothing in a namespace.
func DefaultDeny(namespace string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default-deny"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}},
	}
}

// Allow reports whether a pod may connect to a port of another one.
func (p Policies) Allow(t testing.TB, src, dst Pod, protocol corev1.Protocol, port int32) bool {
	t.Helper()
	return p.egress(t, src, dst, protocol, port) && p.ingress(t, src, dst, protocol, port)
}

// selected returns the policies of one type that select a pod.
func (p Policies) selected(t testing.TB, pod Pod, kind networkingv1.PolicyType) Policies {
	t.Helper()
	var all Policies
	for _, policy := range p {
		for _, k := range policy.Spec.PolicyTypes {
			if k == kind && !pod.Outside && policy.Namespace == pod.Namespace && matches(t, &policy.Spec.PodSelector, pod.Labels) {
				all = append(all, policy)
			}
		}
	}
	return all
}

func (p Policies) egress(t testing.TB, src, dst Pod, protocol corev1.Protocol, port int32) bool {
	t.Helper()
	selected := p.selected(t, src, networkingv1.PolicyTypeEgress)
	for _, policy := range selected {
		for _, rule := range policy.Spec.Egress {
			if hasPort(t, rule.Ports, protocol, port) && hasPeer(t, policy.Namespace, rule.To, dst) {
				return true
			}
		}
	}
	return len(selected) == 0
}

func (p Policies) ingress(t testing.TB, src, dst Pod, protocol corev1.Protocol, port int32) bool {
	t.Helper()
	selected := p.selected(t, dst, networkingv1.PolicyTypeIngress)
	for _, policy := range selected {
		for _, rule := range policy.Spec.Ingress {
			if hasPort(t, rule.Ports, protocol, port) && hasPeer(t, policy.Namespace, rule.From, src) {
				return true
			}
		}
	}
	return len(selected) == 0
}

// hasPort reports whether a rule applies to a port; one without ports applies to all.
func hasPort(t testing.TB, ports []networkingv1.NetworkPolicyPort, protocol corev1.Protocol, port int32) bool {
	t.Helper()
	for _, p := range ports {
		if p.Protocol == nil || p.Port == nil || p.Port.IntVal == 0 || p.EndPort != nil {
			t.Fatalf("port %+v: only a protocol with a number is supported", p)
		}
		if *p.Protocol == protocol && p.Port.IntVal == port {
			return true
		}
	}
	return len(ports) == 0
}

// hasPeer reports whether a rule applies to a peer; one without peers applies to all.
func hasPeer(t testing.TB, namespace string, peers []networkingv1.NetworkPolicyPeer, pod Pod) bool {
	t.Helper()
	for _, peer := range peers {
		if peer.IPBlock != nil {
			t.Fatalf("peer %+v: blocks of addresses are not supported", peer)
		}
		if pod.Outside {
			continue
		}
		inNamespace := pod.Namespace == namespace
		if peer.NamespaceSelector != nil {
			set := labels.Merge(pod.NamespaceLabels, map[string]string{corev1.LabelMetadataName: pod.Namespace})
			inNamespace = matches(t, peer.NamespaceSelector, set)
		}
		if inNamespace && (peer.PodSelector == nil || matches(t, peer.PodSelector, pod.Labels)) {
			return true
		}
	}
	return len(peers) == 0
}

func matches(t testing.TB, selector *metav1.LabelSelector, set map[string]string) bool {
	t.Helper()
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Matches(labels.Set(set))
}
