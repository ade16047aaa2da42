package manifests_test

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/jindo-io/jindo/manifests"
	"github.com/jindo-io/jindo/pkg/kube/admission"
	"github.com/jindo-io/jindo/pkg/kube/admission/certs"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

func selects(t *testing.T, selector *metav1.LabelSelector, set labels.Set) bool {
	t.Helper()
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Matches(set)
}

// The webhook is called once for a labelled pod, and never for other pods.
func TestPodWebhooksSelect(t *testing.T) {
	configuration := named[admissionv1.MutatingWebhookConfiguration](t, manifests.Install)[names.PodWebhooks]
	if configuration == nil || len(configuration.Webhooks) != 2 {
		t.Fatalf("configuration %s with two webhooks not found", names.PodWebhooks)
	}
	for _, test := range []struct {
		name string
		pod  labels.Set
		want []string
	}{
		{"no label", labels.Set{"app": "a"}, nil},
		{"requested", labels.Set{names.LabelInject: "true"}, []string{names.InjectionWebhook}},
		{"requested by the older name", labels.Set{names.LabelInjectAlias: "true"}, []string{names.InjectionWebhookAliased}},
		{"requested by both", labels.Set{names.LabelInject: "true", names.LabelInjectAlias: "true"}, []string{names.InjectionWebhook}},
		{"requested by the older name only", labels.Set{names.LabelInject: "false", names.LabelInjectAlias: "true"}, []string{names.InjectionWebhookAliased}},
		{"declined", labels.Set{names.LabelInject: "false"}, nil},
		{"opted out", labels.Set{names.LabelInject: "true", names.LabelEnableInjection: "false"}, nil},
		{"opted out of the older name", labels.Set{names.LabelInjectAlias: "true", names.LabelEnableInjection: "false"}, nil},
		{"opted in twice", labels.Set{names.LabelInject: "true", names.LabelEnableInjection: "true"}, []string{names.InjectionWebhook}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var called []string
			for _, w := range configuration.Webhooks {
				if selects(t, w.ObjectSelector, test.pod) {
					called = append(called, w.Name)
				}
			}
			if !slices.Equal(called, test.want) {
				t.Errorf("%q are called, want %q", called, test.want)
			}
		})
	}
	for _, w := range configuration.Webhooks {
		for namespace, want := range map[string]bool{"default": true, "kube-system": false, names.SystemNamespace: false} {
			if got := selects(t, w.NamespaceSelector, labels.Set{corev1.LabelMetadataName: namespace}); got != want {
				t.Errorf("%s is called about pods in %s: %v", w.Name, namespace, got)
			}
		}
		if *w.FailurePolicy != admissionv1.Fail || *w.SideEffects != admissionv1.SideEffectClassNone ||
			*w.ReinvocationPolicy != admissionv1.IfNeededReinvocationPolicy || *w.MatchPolicy != admissionv1.Equivalent || *w.TimeoutSeconds != 5 {
			t.Errorf("%s is %+v", w.Name, w)
		}
		checkService(t, w.ClientConfig, names.WebhookPath)
	}
	if names.PodWebhooks > "istio-sidecar-injector" || names.PodWebhooks > "linkerd-proxy-injector-webhook-config" {
		t.Error("meshes are called first")
	}
}

func TestValidationNeverBlocks(t *testing.T) {
	configuration := named[admissionv1.ValidatingWebhookConfiguration](t, manifests.Install)[names.ValidatingWebhooks]
	if configuration == nil || len(configuration.Webhooks) != 1 {
		t.Fatalf("configuration %s not found", names.ValidatingWebhooks)
	}
	w := configuration.Webhooks[0]
	if *w.FailurePolicy != admissionv1.Ignore || len(w.MatchConditions) != 1 || *w.SideEffects != admissionv1.SideEffectClassNone {
		t.Errorf("it is %+v", w)
	}
	checkService(t, w.ClientConfig, admission.ValidationPath)
}

// checkService checks that requests of API servers reach the container.
func checkService(t *testing.T, config admissionv1.WebhookClientConfig, path string) {
	t.Helper()
	if config.Service == nil || config.Service.Name != names.Webhook || config.Service.Namespace != names.SystemNamespace ||
		*config.Service.Path != path || *config.Service.Port != names.WebhookServicePort || len(config.CABundle) > 0 {
		t.Errorf("requests go to %+v", config)
	}
	service := named[corev1.Service](t, manifests.Install)[names.Webhook]
	deployment := named[appsv1.Deployment](t, manifests.Install)[names.Webhook]
	if !selects(t, metav1.SetAsLabelSelector(service.Spec.Selector), deployment.Spec.Template.Labels) {
		t.Error("the Service selects other pods")
	}
	if port := service.Spec.Ports[0]; port.Port != names.WebhookServicePort || port.TargetPort.StrVal != "webhook" {
		t.Errorf("the Service's port is %+v", port)
	}
	for _, port := range deployment.Spec.Template.Spec.Containers[0].Ports {
		if port.Name == "webhook" && port.ContainerPort == names.WebhookPort {
			return
		}
	}
	t.Errorf("the container has no port %d", names.WebhookPort)
}

// The policy applies to the pods that the webhooks select.
func TestPolicyAndWebhooksSelectTheSame(t *testing.T) {
	policy := named[admissionv1.ValidatingAdmissionPolicy](t, manifests.Install)[names.SidecarPolicy]
	binding := named[admissionv1.ValidatingAdmissionPolicyBinding](t, manifests.Install)[names.SidecarPolicy]
	if policy == nil || binding == nil || binding.Spec.PolicyName != policy.Name {
		t.Fatal("policy with binding not found")
	}
	webhook := named[admissionv1.MutatingWebhookConfiguration](t, manifests.Install)[names.PodWebhooks].Webhooks[0]
	if got, want := policy.Spec.MatchConstraints.NamespaceSelector.String(), webhook.NamespaceSelector.String(); got != want {
		t.Errorf("namespaces are %s, want %s", got, want)
	}
	var conditions, expressions strings.Builder
	for _, c := range policy.Spec.MatchConditions {
		conditions.WriteString(c.Expression)
	}
	for _, label := range []string{names.LabelInject, names.LabelInjectAlias, names.LabelEnableInjection} {
		if !strings.Contains(conditions.String(), "'"+label+"'") {
			t.Errorf("label %s is not used", label)
		}
	}
	for _, v := range policy.Spec.Variables {
		expressions.WriteString(v.Expression)
	}
	for _, word := range []string{names.AnnotationInjection, names.SidecarContainer, names.SidecarVolume, names.Driver} {
		if !strings.Contains(expressions.String(), "'"+word+"'") {
			t.Errorf("%s is not used", word)
		}
	}
}

func TestWebhookSurvives(t *testing.T) {
	pod := named[appsv1.Deployment](t, manifests.Install)[names.Webhook].Spec.Template.Spec
	if pod.PriorityClassName != "system-cluster-critical" {
		t.Error("the webhook may be evicted for other pods")
	}
	budget := named[policyv1.PodDisruptionBudget](t, manifests.Install)[names.Webhook]
	if budget == nil || budget.Spec.MaxUnavailable.IntValue() != 1 {
		t.Error("both replicas may be evicted at the same time")
	}
}

// The webhook reads and writes only its own Secret, and changes only its own webhook
// configurations.
func TestWebhookRights(t *testing.T) {
	for _, rule := range named[rbacv1.ClusterRole](t, manifests.Install)[names.Webhook].Rules {
		if slices.Contains(rule.Resources, "secrets") {
			t.Errorf("the webhook may %v Secrets of every namespace", rule.Verbs)
		}
		writes := slices.ContainsFunc(rule.Verbs, func(v string) bool { return !slices.Contains([]string{"get", "list", "watch"}, v) })
		if writes && (len(rule.ResourceNames) != 1 || !slices.Contains([]string{names.PodWebhooks, names.ValidatingWebhooks}, rule.ResourceNames[0])) {
			t.Errorf("the webhook may %v %v", rule.Verbs, rule.Resources)
		}
	}
	for _, rule := range named[rbacv1.Role](t, manifests.Install)[names.Webhook].Rules {
		if !slices.Equal(rule.Verbs, []string{"create"}) && !slices.Equal(rule.ResourceNames, []string{names.WebhookAuthority}) {
			t.Errorf("the webhook may %v %v", rule.Verbs, rule.Resources)
		}
	}
	if certs.FieldManager != "jindo-webhook" {
		t.Error("another field manager would leave the fields of the old one")
	}
}
