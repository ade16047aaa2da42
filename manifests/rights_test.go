package manifests_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/jindo-io/jindo/manifests"
)

// unused are the rights that are granted and that the default tests on Kubernetes do not
// use, with the reason. An account or a resource of * stands for all.
var unused = []struct{ account, scope, resource, verb, reason string }{
	{"*", "*", "events", "create", "the library for events uses this group on old API servers and for events of leases"},
	{"*", "*", "events", "patch", "an event that is repeated"},
	{"*", "*", "events.events.k8s.io", "patch", "an event that is repeated"},
	{"*", "*", "jindoruntimes.data.fluid.io/finalizers", "update", "owner references with blockOwnerDeletion, where OwnerReferencesPermissionEnforcement is enabled"},
	{"*", "*", "datasets.data.fluid.io/finalizers", "update", "the same"},
	{"dataset-controller", "*", "dataloads.data.fluid.io/status", "patch", "DataLoads, which no default scenario has"},
	{"jindoruntime-controller", "*", "pods", "delete", "the replacement of pods after an edit, and pods on unreachable nodes"},
	{"jindoruntime-controller", "*", "persistentvolumeclaims", "patch", "a protection finalizer that Kubernetes does not remove"},
	{"jindoruntime-controller", "*", "secrets", "update", "the renewal of certificates"},
	{"csi-nodeplugin-fluid", "*", "pods", "get", "a pod that is not in the cache yet"},
	{"jindo-webhook", "*", "jindoruntimes.data.fluid.io", "get", "an object that is not in the cache yet"},
	{"jindo-webhook", "fluid-system", "secrets", "update", "the renewal of its authority"},
}

// impliedBy are verbs that are required beside another one and not logged: server-side
// apply that creates an object is a patch, and informers list on API servers without
// streaming lists.
var impliedBy = map[string]string{"create": "patch", "list": "watch"}

// granted returns the rights of the accounts, as account scope resource verb.
func granted(t *testing.T) []string {
	t.Helper()
	var rights []string
	add := func(account, scope string, rules []rbacv1.PolicyRule) {
		for _, rule := range rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						rights = append(rights, strings.Join([]string{account, scope, resourceOf(group, resource), verb}, " "))
					}
				}
			}
		}
	}
	for name, role := range named[rbacv1.ClusterRole](t, manifests.Install) {
		if len(role.Labels) <= 1 { // others are roles of users
			add(name, "*", role.Rules)
		}
	}
	for name, role := range named[rbacv1.Role](t, manifests.Install) {
		add(name, "fluid-system", role.Rules)
	}
	slices.Sort(rights)
	return slices.Compact(rights)
}

// resourceOf returns RESOURCE.GROUP/SUBRESOURCE.
func resourceOf(group, resource string) string {
	resource, sub, found := strings.Cut(resource, "/")
	if group != "" {
		resource += "." + group
	}
	if found {
		resource += "/" + sub
	}
	return resource
}

// TestRightsAreUsed compares the roles with the audit log of the tests on Kubernetes, of
// which hack/rights keeps a table. A right that is not used there needs a reason, and a
// reason needs a right.
func TestRightsAreUsed(t *testing.T) {
	raw, err := os.ReadFile("testdata/rights-used.txt")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		if row := strings.Fields(line); len(row) == 4 && row[0] != "#" {
			used[strings.Join(row, " ")] = true
		}
	}
	rights, needed := granted(t), map[int]bool{}
	for _, right := range rights {
		field := strings.Fields(right)
		if used[right] || used[strings.Join(append(field[:3:3], impliedBy[field[3]]), " ")] {
			continue
		}
		reason := slices.IndexFunc(unused, func(u struct{ account, scope, resource, verb, reason string }) bool {
			return (u.account == "*" || u.account == field[0]) && u.scope == field[1] && (u.resource == "*" || u.resource == field[2]) && u.verb == field[3]
		})
		if reason < 0 {
			t.Errorf("%s is granted, not used, and has no reason", right)
		}
		needed[reason] = true
	}
	for i, u := range unused {
		if !needed[i] {
			t.Errorf("%s %s %s %s has a reason (%s), and is not granted or used", u.account, u.scope, u.resource, u.verb, u.reason)
		}
	}
	for right := range used {
		field := strings.Fields(right)
		// A ClusterRole gives its rights in the system namespace, too.
		if wide := strings.Join([]string{field[0], "*", field[2], field[3]}, " "); !slices.Contains(rights, right) && !slices.Contains(rights, wide) {
			t.Errorf("%s was used and is not granted", right)
		}
	}
}
