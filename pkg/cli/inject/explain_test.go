package inject

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/inject/injecttest"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/test/cli/clitest"
	"github.com/jindo-io/jindo/test/cli/golden"
)

var update = golden.Flag()

func podRules() []admissionv1.RuleWithOperations {
	return []admissionv1.RuleWithOperations{{
		Operations: []admissionv1.OperationType{admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
	}}
}

// installation holds the objects of an installation.
type installation struct {
	namespace     *corev1.Namespace
	configuration *admissionv1.MutatingWebhookConfiguration
	mesh          *admissionv1.MutatingWebhookConfiguration
	slice         *discoveryv1.EndpointSlice
	policy        *admissionv1.ValidatingAdmissionPolicy
	binding       *admissionv1.ValidatingAdmissionPolicyBinding
	pod           *corev1.Pod
}

// healthy returns an installation without problems.
func healthy() *installation {
	yes := true
	labelled := func(name, label string) admissionv1.MutatingWebhook {
		return admissionv1.MutatingWebhook{
			Name: name, Rules: podRules(), ClientConfig: admissionv1.WebhookClientConfig{CABundle: []byte("ca")},
			ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{label: "true"}},
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system", names.SystemNamespace}},
			}},
		}
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	return &installation{
		namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: injecttest.Namespace, Labels: map[string]string{corev1.LabelMetadataName: injecttest.Namespace}}},
		configuration: &admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta(names.PodWebhooks), Webhooks: []admissionv1.MutatingWebhook{
			labelled(names.InjectionWebhook, names.LabelInject), labelled(names.InjectionWebhookAliased, names.LabelInjectAlias),
		}},
		mesh: &admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta("istio-sidecar-injector"), Webhooks: []admissionv1.MutatingWebhook{
			{Name: "object.sidecar-injector.istio.io", Rules: podRules(), ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"sidecar.istio.io/inject": "true"}}},
			{Name: "services.example.com"},
		}},
		slice: &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: names.SystemNamespace, Name: "webhook-1", Labels: map[string]string{discoveryv1.LabelServiceName: names.Webhook}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}}, {Addresses: []string{"10.0.0.2"}}},
		},
		policy:  &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta(names.SidecarPolicy)},
		binding: &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta(names.SidecarPolicy), Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: names.SidecarPolicy}},
		pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: injecttest.Namespace, Name: "train", UID: "u", Labels: map[string]string{names.LabelInject: "true"}},
			Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "train", Image: "train:1", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}},
				Volumes:    []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "imagenet"}}}},
			},
		},
	}
}

func (i *installation) serve(t *testing.T) *clitest.Server {
	t.Helper()
	var objects []client.Object
	for _, c := range injecttest.Load(t, cases) {
		if c.Name == "plain" {
			objects = c.Objects
		}
	}
	objects = append(objects, i.namespace, i.slice, i.mesh, i.pod)
	if i.configuration != nil {
		objects = append(objects, i.configuration)
	}
	if i.policy != nil {
		objects = append(objects, i.policy)
	}
	if i.binding != nil {
		objects = append(objects, i.binding)
	}
	return clitest.New(t, objects...)
}

// created is a manifest of the pod train before it is created.
const created = cases + "/plain/in.yaml"

func TestExplain(t *testing.T) {
	no := false
	for name, test := range map[string]struct {
		change  func(i *installation)
		args    []string
		code    int
		verdict Verdict
	}{
		"healthy": {func(*installation) {}, []string{"-f", created}, 0, WillBeInjected},
		"no-endpoint": {func(i *installation) {
			i.slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}}}
		}, []string{"-f", created}, 3, Refused},
		"no-webhook":    {func(i *installation) { i.configuration = nil }, []string{"-f", created}, 3, Refused},
		"not-installed": {func(i *installation) { i.configuration, i.policy, i.binding = nil, nil, nil }, []string{"-f", created}, 3, NotInjected},
		"no-authority":  {func(i *installation) { i.configuration.Webhooks[1].ClientConfig.CABundle = nil }, []string{"-f", created}, 3, Refused},
		"no-binding":    {func(i *installation) { i.binding = nil }, []string{"-f", created}, 3, WillBeInjected},
		"missed":        {func(*installation) {}, []string{"train"}, 3, Missed},
		"injected": {func(i *installation) {
			always := corev1.ContainerRestartPolicyAlways
			i.pod.Spec.InitContainers = []corev1.Container{{Name: names.SidecarContainer, Command: []string{"/usr/local/bin/fuse"}, RestartPolicy: &always}}
		}, []string{"pod/train"}, 0, Injected},
		"not-requested": {func(i *installation) { i.pod.Labels = nil }, []string{"po", "train"}, 0, NotAskedFor},
		"refused":       {func(*installation) {}, []string{"-f", cases + "/name-of-volume/in.yaml"}, 3, Refused},
		"unknown-claim": {func(*installation) {}, []string{"-f", cases + "/claim-of-no-dataset/in.yaml"}, 3, Refused},
		"no-dataset":    {func(*installation) {}, []string{"-f", cases + "/no-claim/in.yaml"}, 0, NoDataset},
		"other-namespace": {func(i *installation) {
			i.configuration.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"data": "yes"}}
		}, []string{"-f", created}, 3, Refused},
	} {
		t.Run(name, func(t *testing.T) {
			i := healthy()
			test.change(i)
			server := i.serve(t)
			for _, columns := range []string{"80", "160"} {
				for _, colour := range []string{"never", "always"} {
					got := run(t, server, "", map[string]string{"COLUMNS": columns, "LANG": "C.UTF-8"}, append([]string{"inject", "explain", "--color", colour}, test.args...)...)
					if got.code != test.code || got.stderr != "" {
						t.Errorf("got %d %q, want %d", got.code, got.stderr, test.code)
					}
					if colour == "never" || name == "healthy" || name == "no-endpoint" {
						golden.Compare(t, *update, fmt.Sprintf("explain-%s-%s-%s.txt", name, columns, colour), got.stdout)
					}
				}
			}
			got := run(t, server, "", nil, append([]string{"inject", "explain", "-o", "json"}, test.args...)...)
			var r Report
			if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || r.Verdict != test.verdict || r.Kind != ReportKind || got.code != test.code {
				t.Errorf("got %+v, error %v", r, err)
			}
		})
	}
}

// TestExplainWithoutRights checks that objects that cannot be read are named and do
// not hide the rest.
func TestExplainWithoutRights(t *testing.T) {
	server := healthy().serve(t)
	for _, resource := range []string{"mutatingwebhookconfigurations", "endpointslices", "namespaces", "validatingadmissionpolicies"} {
		server.Forbid(clitest.Match{Resource: resource})
	}
	got := run(t, server, "", nil, "inject", "explain", "-f", created)
	if got.code != 3 || !strings.Contains(got.stdout, "Unknown: ") || !strings.Contains(got.stdout, "Not read") || !strings.Contains(got.stdout, "endpoints unknown") || !strings.Contains(got.stdout, `serves dataset "imagenet"`) {
		t.Errorf("got %+v", got)
	}
}

func TestExplainErrors(t *testing.T) {
	server := healthy().serve(t)
	for _, test := range []struct {
		args []string
		code int
		why  string
	}{
		{[]string{"missing"}, 1, "missing"},
		{[]string{"secret/x"}, 2, "unknown resource type"},
		{[]string{"pod/a", "b"}, 2, "want one object"},
		{[]string{"deploy/"}, 2, "unknown resource type"},
		{[]string{"train", "-o", "xml"}, 2, "xml"},
		{[]string{"train", "-f", "x"}, 2, "nothing to explain"},
	} {
		got := run(t, server, "", nil, append([]string{"inject", "explain"}, test.args...)...)
		if got.code != test.code || !strings.Contains(got.stderr, test.why) || got.stdout != "" {
			t.Errorf("%q: got %+v", test.args, got)
		}
	}
}
