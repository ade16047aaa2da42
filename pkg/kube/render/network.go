package render

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// controllerApp is the value of the label app of the controller's pods.
const controllerApp = "jindoruntime-controller"

// networkPolicies returns a NetworkPolicy for the pods of each role. They allow what a
// runtime needs, so that it works in a namespace whose other policies allow nothing,
// and isolate its pods from everything else.
//
// Applications with a sidecar have none: a policy for their pods would isolate them.
func (in *Input) networkPolicies() []client.Object {
	var policies []client.Object
	if c := in.Plan.Masters; c != nil {
		clients := append(in.peers(plan.RoleMaster, plan.RoleWorker, plan.RoleFuse), sidecarPeers()...)
		policies = append(policies, in.networkPolicy(c, []networkingv1.NetworkPolicyIngressRule{
			from(append(clients, in.controllerPeer()), c.Port(plan.PortRPC)),
			from(in.peers(plan.RoleMaster), c.Port(plan.PortRaft)),
		}, in.toMembers(true)))
	}
	if c := in.Plan.Workers; c != nil {
		clients := append(in.peers(plan.RoleMaster, plan.RoleWorker, plan.RoleFuse), sidecarPeers()...)
		// A store can be anywhere, and a Service maps its port to any other.
		policies = append(policies, in.networkPolicy(c, []networkingv1.NetworkPolicyIngressRule{
			from(append(clients, in.controllerPeer()), c.Port(plan.PortRPC)),
		}, anywhere()))
	}
	if c := in.Plan.Fuse; c != nil {
		egress := in.toMembers(false)
		if in.Plan.FuseOnly() {
			egress = anywhere() // they read from the store
		}
		policies = append(policies, in.networkPolicy(c, nil, egress))
	}
	return policies
}

// networkPolicy returns the policy of a component. Metrics may be read from namespaces
// with the label [names.LabelMetrics]. The kubelet's probes are always allowed.
func (in *Input) networkPolicy(c *plan.Component, ingress []networkingv1.NetworkPolicyIngressRule, egress []networkingv1.NetworkPolicyEgressRule) *networkingv1.NetworkPolicy {
	metrics := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{names.LabelMetrics: "true"}}}
	return &networkingv1.NetworkPolicy{
		TypeMeta: typeMeta("networking.k8s.io/v1", "NetworkPolicy"), ObjectMeta: in.meta(c.Name, string(c.Role)),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: Selector(in.Plan.Name, c.Role)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress:     append(ingress, from([]networkingv1.NetworkPolicyPeer{metrics}, c.Port(plan.PortHealth))),
			Egress:      egress,
		},
	}
}

// toMembers allows connections to masters and workers of the runtime, and to DNS.
func (in *Input) toMembers(raft bool) []networkingv1.NetworkPolicyEgressRule {
	var rules []networkingv1.NetworkPolicyEgressRule
	if c := in.Plan.Masters; c != nil {
		ports := []int{c.Port(plan.PortRPC)}
		if raft {
			ports = append(ports, c.Port(plan.PortRaft))
		}
		rules = append(rules, networkingv1.NetworkPolicyEgressRule{To: in.peers(plan.RoleMaster), Ports: tcp(ports...)})
	}
	if c := in.Plan.Workers; c != nil {
		rules = append(rules, networkingv1.NetworkPolicyEgressRule{To: in.peers(plan.RoleWorker), Ports: tcp(c.Port(plan.PortRPC))})
	}
	udp := corev1.ProtocolUDP
	dns := tcp(53, 5353) // 5353 is the port of DNS pods on OpenShift
	for _, p := range []int32{53, 5353} {
		port := intstr.FromInt32(p)
		dns = append(dns, networkingv1.NetworkPolicyPort{Protocol: &udp, Port: &port})
	}
	return append(rules, networkingv1.NetworkPolicyEgressRule{Ports: dns})
}

func anywhere() []networkingv1.NetworkPolicyEgressRule {
	return []networkingv1.NetworkPolicyEgressRule{{}}
}

// peers selects pods of the runtime by role.
func (in *Input) peers(roles ...plan.Role) []networkingv1.NetworkPolicyPeer {
	var peers []networkingv1.NetworkPolicyPeer
	for _, role := range roles {
		peers = append(peers, networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: Selector(in.Plan.Name, role)}})
	}
	return peers
}

// sidecarPeers selects pods of the namespace that request a sidecar.
func sidecarPeers() []networkingv1.NetworkPolicyPeer {
	var peers []networkingv1.NetworkPolicyPeer
	for _, label := range []string{names.LabelInject, names.LabelInjectAlias} {
		peers = append(peers, networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{label: "true"}}})
	}
	return peers
}

// controllerPeer selects the controller of the runtime.
func (in *Input) controllerPeer() networkingv1.NetworkPolicyPeer {
	namespace := in.SystemNamespace
	if namespace == "" {
		namespace = names.SystemNamespace
	}
	return networkingv1.NetworkPolicyPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
		PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{names.LabelApp: controllerApp}},
	}
}

func from(peers []networkingv1.NetworkPolicyPeer, port int) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: peers, Ports: tcp(port)}
}

func tcp(ports ...int) []networkingv1.NetworkPolicyPort {
	protocol := corev1.ProtocolTCP
	all := make([]networkingv1.NetworkPolicyPort, 0, len(ports))
	for _, p := range ports {
		port := intstr.FromInt32(int32(p))
		all = append(all, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &port})
	}
	return all
}
