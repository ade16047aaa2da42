package render

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/test/netpolicy"
)

func policiesOf(t *testing.T, in Input) netpolicy.Policies {
	t.Helper()
	objects, err := Objects(in)
	if err != nil {
		t.Fatal(err)
	}
	var policies netpolicy.Policies
	for _, o := range objects {
		if policy, is := o.(*networkingv1.NetworkPolicy); is {
			policies = append(policies, policy)
		}
	}
	return policies
}

// TestNetworkPolicies checks every pair of ends and every port that a component
// listens on, in a namespace whose own policy allows nothing: what a runtime needs is
// allowed, and nothing else.
func TestNetworkPolicies(t *testing.T) {
	in := input(t, "testdata/seed.yaml")
	namespace := in.Plan.Namespace
	policies := append(policiesOf(t, in), netpolicy.DefaultDeny(namespace))
	objects, err := Objects(in)
	if err != nil {
		t.Fatal(err)
	}
	pods, listens := map[string]netpolicy.Pod{}, map[int32]bool{}
	for name, template := range templates(objects) {
		pods[name[len("hadoop-jindofs-"):]] = netpolicy.Pod{Namespace: namespace, Labels: template.Labels}
		for _, p := range template.Spec.Containers[0].Ports {
			listens[p.ContainerPort] = true
		}
	}
	if len(pods) != 3 || len(listens) != 4 {
		t.Fatalf("components %v, ports %v", pods, listens)
	}
	other := func(role string) netpolicy.Pod {
		return netpolicy.Pod{Namespace: namespace, Labels: names.Labels("other", role)}
	}
	pods["sidecar"] = netpolicy.Pod{Namespace: namespace, Labels: map[string]string{names.LabelInject: "true"}}
	pods["sidecar by the older label"] = netpolicy.Pod{Namespace: namespace, Labels: map[string]string{names.LabelInjectAlias: "true"}}
	pods["application"] = netpolicy.Pod{Namespace: namespace, Labels: map[string]string{"app": "a"}}
	pods["other master"], pods["other worker"] = other("master"), other("worker")
	pods["sidecar elsewhere"] = netpolicy.Pod{Namespace: "elsewhere", Labels: map[string]string{names.LabelInject: "true"}}
	pods["worker elsewhere"] = netpolicy.Pod{Namespace: "elsewhere", Labels: pods["worker"].Labels}
	pods["controller"] = netpolicy.Pod{Namespace: names.SystemNamespace, Labels: map[string]string{"app": "jindoruntime-controller"}}
	pods["webhook"] = netpolicy.Pod{Namespace: names.SystemNamespace, Labels: map[string]string{"app": names.Webhook}}
	pods["false controller"] = netpolicy.Pod{Namespace: "elsewhere", Labels: pods["controller"].Labels}
	pods["prometheus"] = netpolicy.Pod{Namespace: "monitoring", NamespaceLabels: map[string]string{names.LabelMetrics: "true"}}
	pods["outside"] = netpolicy.Pod{Outside: true}

	// The controller's and the sidecars' own egress is not a runtime's business.
	clients := []string{"master", "worker", "fuse", "controller"}
	want := map[string]map[int32][]string{
		"master": {18004: clients, 18006: {"master", "worker"}, 18008: {"prometheus"}},
		"worker": {18005: clients, 18008: {"prometheus"}},
		"fuse":   {18008: {"prometheus"}},
	}
	// The policy of workers does not restrict what they connect to; the one of masters
	// restricts the Raft port to masters.
	want["master"][18006] = []string{"master"}
	for target, ports := range want {
		for port := range listens {
			for source, pod := range pods {
				got := policies.Allow(t, pod, pods[target], corev1.ProtocolTCP, port)
				if source == "sidecar" || source == "sidecar by the older label" {
					continue
				}
				if allowed := slices.Contains(ports[port], source); got != allowed {
					t.Errorf("%s to port %d of %s: allowed %v, want %v", source, port, target, got, allowed)
				}
			}
		}
	}
	// A namespace with default-deny must allow the egress of its applications itself.
	withEgress := append(slices.Clone(policies), &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, Egress: []networkingv1.NetworkPolicyEgressRule{{}},
	}})
	withEgress[len(withEgress)-1].Namespace = namespace
	for _, source := range []string{"sidecar", "sidecar by the older label"} {
		for target, ports := range map[string]map[int32]bool{"master": {18004: true}, "worker": {18005: true}, "fuse": {}} {
			for port := range listens {
				if got := withEgress.Allow(t, pods[source], pods[target], corev1.ProtocolTCP, port); got != ports[port] {
					t.Errorf("%s to port %d of %s: allowed %v", source, port, target, got)
				}
			}
		}
	}
	for source, ports := range map[string]map[int32]bool{"worker": {53: true, 443: true, 9000: true}, "master": {53: true}, "fuse": {53: true}} {
		for _, port := range []int32{53, 443, 9000} {
			if got := policies.Allow(t, pods[source], pods["outside"], corev1.ProtocolTCP, port); got != ports[port] {
				t.Errorf("%s to port %d outside: allowed %v", source, port, got)
			}
		}
		if !policies.Allow(t, pods[source], pods["outside"], corev1.ProtocolUDP, 53) {
			t.Errorf("%s cannot resolve names", source)
		}
	}
}

// TestPoliciesAreNotForApplications: a policy that selects an application's pod would
// isolate it.
func TestPoliciesAreNotForApplications(t *testing.T) {
	for _, policy := range policiesOf(t, input(t, "testdata/seed.yaml")) {
		selector := policy.Spec.PodSelector.MatchLabels
		if selector[names.LabelRelease] != "hadoop" || selector[names.LabelApp] != names.App || selector[names.LabelRole] == "" || len(policy.Spec.PolicyTypes) != 2 {
			t.Errorf("%s selects %v", policy.Name, selector)
		}
	}
	// networkmode: HostNetwork has no effect yet.
	if policies := policiesOf(t, input(t, "testdata/settings.yaml")); len(policies) != 3 {
		t.Errorf("%d policies, want one for each role", len(policies))
	}
}
