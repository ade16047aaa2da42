package install_test

import (
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Applying the manifests again changes no object.
func TestApplyingTwiceChangesNothing(t *testing.T) {
	s := start(t)
	if !strings.Contains(s.versions[0], "CustomResourceDefinition jindoruntimes.data.fluid.io ") || !strings.Contains(s.versions[0], "DaemonSet csi-nodeplugin-fluid ") {
		t.Errorf("installed objects:\n%s", s.versions[0])
	}
	if s.versions[0] != s.versions[1] {
		t.Errorf("objects after the second installation:\n%s\nafter the first:\n%s", s.versions[1], s.versions[0])
	}
}

// TestRights checks the permissions of each service account.
func TestRights(t *testing.T) {
	s := start(t)
	const dataset, jindoruntime, plugin = "dataset-controller", "jindoruntime-controller", "csi-nodeplugin-fluid"
	for _, row := range []struct {
		account, verb, group, resource, namespace string
		allowed                                   bool
	}{
		{dataset, "patch", "data.fluid.io", "datasets/status", "team", true},
		{dataset, "patch", "data.fluid.io", "dataloads/status", "team", true},
		{dataset, "update", "data.fluid.io", "jindoruntimes/status", "team", false},
		{dataset, "create", "", "persistentvolumes", "", true},
		{dataset, "list", "", "pods", "team", true},
		{dataset, "get", "", "secrets", "team", false},
		{dataset, "create", "", "pods", names.SystemNamespace, false},
		{dataset, "patch", "", "nodes", "", false},
		{dataset, "create", "coordination.k8s.io", "leases", names.SystemNamespace, true},
		{dataset, "create", "coordination.k8s.io", "leases", "team", false},

		{jindoruntime, "update", "data.fluid.io", "jindoruntimes/status", "team", true},
		{jindoruntime, "patch", "data.fluid.io", "datasets/status", "team", false},
		{jindoruntime, "patch", "apps", "statefulsets", "team", true},
		{jindoruntime, "patch", "apps", "daemonsets", "team", true},
		{jindoruntime, "patch", "policy", "poddisruptionbudgets", "team", true},
		{jindoruntime, "patch", "networking.k8s.io", "networkpolicies", "team", true},
		{jindoruntime, "get", "", "secrets", "team", true},
		{jindoruntime, "patch", "", "secrets", "team", true},
		{jindoruntime, "list", "", "secrets", "team", false},
		{jindoruntime, "watch", "", "secrets", "team", false},
		{jindoruntime, "list", "", "secrets", names.SystemNamespace, true},
		{jindoruntime, "create", "", "pods", names.SystemNamespace, true},
		{jindoruntime, "create", "", "pods", "team", false},
		{jindoruntime, "delete", "", "pods", "team", true},
		{jindoruntime, "create", "", "pods/exec", "team", false},
		{jindoruntime, "patch", "", "nodes", "", true},
		{jindoruntime, "create", "rbac.authorization.k8s.io", "rolebindings", "team", false},

		{plugin, "watch", "", "pods", "", true},
		{plugin, "patch", "", "nodes", "", true},
		{plugin, "list", "", "nodes", "", false},
		{plugin, "patch", "", "nodes/status", "", false},
		{plugin, "get", "", "secrets", "team", false},
		{plugin, "create", "", "events", "team", true},
		{plugin, "get", "data.fluid.io", "datasets", "team", false},
		{plugin, "get", "data.fluid.io", "jindoruntimes", "team", true},
		{plugin, "list", "data.fluid.io", "jindoruntimes", "team", false},
		{plugin, "get", "apps", "statefulsets", "team", true},
		{plugin, "patch", "apps", "statefulsets", "team", false},
	} {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: account(row.account), Groups: []string{"system:serviceaccounts", "system:authenticated"},
			ResourceAttributes: attributes(row.verb, row.group, row.resource, row.namespace),
		}}
		if err := s.Create(t.Context(), review); err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != row.allowed {
			t.Errorf("%s %s %s of group %q in namespace %q: allowed %v, want %v", row.account, row.verb, row.resource, row.group, row.namespace, review.Status.Allowed, row.allowed)
		}
	}
}

func account(name string) string {
	return "system:serviceaccount:" + names.SystemNamespace + ":" + name
}

func attributes(verb, group, resource, namespace string) *authorizationv1.ResourceAttributes {
	resource, sub, _ := strings.Cut(resource, "/")
	return &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: namespace}
}
