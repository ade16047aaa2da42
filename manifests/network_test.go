package manifests_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/jindo-io/jindo/manifests"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/test/netpolicy"
)

// Every port that a component listens on can be reached by those that need it, and by
// nothing else, also where the namespace is denied by default.
func TestNetworkPolicies(t *testing.T) {
	policies := netpolicy.Policies{netpolicy.DefaultDeny(names.SystemNamespace)}
	for _, policy := range named[networkingv1.NetworkPolicy](t, manifests.Install) {
		policies = append(policies, policy)
	}
	components, listens := map[string]netpolicy.Pod{}, map[int32]bool{}
	for name, template := range pods(t) {
		if template.Spec.HostNetwork {
			t.Errorf("%s is on the network of its node, and no policy applies to it", name)
		}
		components[name] = netpolicy.Pod{Namespace: names.SystemNamespace, Labels: template.Labels}
		for _, c := range template.Spec.Containers {
			for _, p := range c.Ports {
				listens[p.ContainerPort] = true
			}
		}
	}
	if len(components) != 4 || !listens[9443] || !listens[18008] {
		t.Fatalf("components %v, ports %v", components, listens)
	}
	components["cleaner"] = netpolicy.Pod{Namespace: names.SystemNamespace, Labels: names.Labels("hadoop", "cleaner")}
	sources := map[string]netpolicy.Pod{
		"API server": {Outside: true},
		"tenant":     {Namespace: "team", Labels: map[string]string{"app": "jindoruntime-controller"}},
		"prometheus": {Namespace: "monitoring", NamespaceLabels: map[string]string{names.LabelMetrics: "true"}},
	}
	for name, pod := range components {
		sources[name] = pod
	}
	for target, pod := range components {
		for port := range listens {
			for source, peer := range sources {
				want := port == 18008 && source == "prometheus" && target != "cleaner" ||
					port == 9443 && target == names.Webhook && slices.Contains([]string{"API server", "tenant", "prometheus"}, source)
				if got := policies.Allow(t, peer, pod, corev1.ProtocolTCP, port); got != want {
					t.Errorf("%s to port %d of %s: allowed %v, want %v", source, port, target, got, want)
				}
			}
		}
	}
	outside := netpolicy.Pod{Outside: true}
	master := netpolicy.Pod{Namespace: "team", Labels: names.Labels("hadoop", "master")}
	for name, pod := range components {
		runtime := name == "jindoruntime-controller"
		for _, row := range []struct {
			target   netpolicy.Pod
			protocol corev1.Protocol
			port     int32
			want     bool
		}{
			{outside, corev1.ProtocolTCP, 443, name != "cleaner"},
			{outside, corev1.ProtocolTCP, 6443, name != "cleaner"},
			{outside, corev1.ProtocolTCP, 80, false},
			{outside, corev1.ProtocolUDP, 53, runtime},
			{master, corev1.ProtocolTCP, 18004, runtime},
			{master, corev1.ProtocolTCP, 18006, false},
		} {
			if got := policies.Allow(t, pod, row.target, row.protocol, row.port); got != row.want {
				t.Errorf("%s to %s port %d: allowed %v, want %v", name, row.protocol, row.port, got, row.want)
			}
		}
	}
}
