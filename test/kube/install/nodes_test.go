package install_test

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// as returns a client of a service account whose pod runs on a node.
func (s *apiserver) as(t *testing.T, name, node string) client.Client {
	t.Helper()
	config := rest.CopyConfig(s.config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: account(name), Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + names.SystemNamespace, "system:authenticated"},
	}
	if node != "" {
		config.Impersonate.Extra = map[string][]string{"authentication.kubernetes.io/node-name": {node}}
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The node plugin may change only labels fluid.io/f-* of its own node.
func TestNodePluginChangesItsOwnLabelsOnly(t *testing.T) {
	s := start(t)
	for _, name := range []string{"own", "other"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{"disktype": "ssd", "fluid.io/s-team-a": "true"}, Annotations: map[string]string{"a": "b"},
		}}
		if err := s.Create(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	patch := func(c client.Client, node, part string) error {
		return c.Patch(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, client.RawPatch(types.MergePatchType, []byte(part)))
	}
	plugin, unbound := s.as(t, "csi-nodeplugin-fluid", "own"), s.as(t, "csi-nodeplugin-fluid", "")
	const own = `{"metadata":{"labels":{"fluid.io/f-team-a":"true"}}}`
	eventually(t, "the policy is enforced", func() error {
		if err := patch(plugin, "other", own); err == nil {
			return errors.New("the plugin may change another node")
		}
		return nil
	})
	for _, row := range []struct {
		name   string
		client client.Client
		node   string
		part   string
		want   string
	}{
		{"its own label", plugin, "own", own, ""},
		{"its own label again", plugin, "own", own, ""},
		{"its own label, another value", plugin, "own", `{"metadata":{"labels":{"fluid.io/f-team-a":"false"}}}`, ""},
		{"its own label removed", plugin, "own", `{"metadata":{"labels":{"fluid.io/f-team-a":null}}}`, ""},
		{"another node", plugin, "other", own, "may only change the node it runs on, which is own"},
		{"a token that names no node", unbound, "own", own, "its token names none"},
		{"a worker's label", plugin, "own", `{"metadata":{"labels":{"fluid.io/s-team-b":"true"}}}`, "only change labels of a node that begin with fluid.io/f-"},
		{"another label changed", plugin, "own", `{"metadata":{"labels":{"disktype":"hdd"}}}`, "begin with fluid.io/f-"},
		{"another label removed", plugin, "own", `{"metadata":{"labels":{"disktype":null}}}`, "begin with fluid.io/f-"},
		{"all labels removed", plugin, "own", `{"metadata":{"labels":null}}`, "begin with fluid.io/f-"},
		{"a role", plugin, "own", `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`, "begin with fluid.io/f-"},
		{"a taint", plugin, "own", `{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}`, "not its taints"},
		{"no scheduling", plugin, "own", `{"spec":{"unschedulable":true}}`, "not its taints"},
		{"an annotation", plugin, "own", `{"metadata":{"annotations":{"a":"c"}}}`, "not its taints, annotations"},
		{"a finalizer", plugin, "own", `{"metadata":{"finalizers":["a.example.com/b"]}}`, "finalizers"},
		{"the runtime controller", s.as(t, "jindoruntime-controller", "own"), "other", `{"metadata":{"labels":{"fluid.io/s-team-b":"true"}}}`, ""},
		{"an administrator", s.Client, "other", `{"metadata":{"labels":{"disktype":"hdd"}}}`, ""},
	} {
		err := patch(row.client, row.node, row.part)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
	if !strings.HasPrefix(names.ScopeOf("a", "b", "").FuseNodeLabel(), "fluid.io/f-") || !strings.HasPrefix(names.ScopeOf("a", "b", "").CacheNodeLabel(), "fluid.io/s-") {
		t.Error("node labels do not have the prefixes of the policy")
	}
}
