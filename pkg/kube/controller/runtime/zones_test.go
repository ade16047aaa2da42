package runtime

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/plan"
)

// The volumes of masters on nodes are in different zones, also beside masters that have
// their nodes already, and in any zones if there are no others.
func TestMastersAreInDifferentZones(t *testing.T) {
	node := func(name, zone string) corev1.Node {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
		if zone != "" {
			n.Labels[corev1.LabelTopologyZone] = zone
		}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		return n
	}
	nodes := func(zones ...string) []corev1.Node {
		var all []corev1.Node
		for _, zone := range zones {
			for i := range 4 {
				all = append(all, node(fmt.Sprintf("%s-%d", zone, i), zone))
			}
		}
		return all
	}
	for _, test := range []struct {
		name  string
		nodes []corev1.Node
		given []string
		// most is the largest number of masters in one zone.
		most int
	}{
		{"three zones", nodes("a", "b", "c"), []string{"", "", ""}, 1},
		{"one master has a node", nodes("a", "b", "c"), []string{"", "b-2", ""}, 1},
		{"two zones", nodes("a", "b"), []string{"", "", ""}, 2},
		{"one zone", nodes("a"), []string{"", "", ""}, 3},
		{"unknown zones", nodes(""), []string{"", "", ""}, 3},
	} {
		for n := range 12 { // the order of the nodes depends on the name
			want := &desired{runtime: &v1alpha1.JindoRuntime{}, plan: &plan.Plan{
				Namespace: "team", Name: fmt.Sprint("r", n), Masters: &plan.Component{Replicas: 3},
			}}
			p := &placement{nodes: test.nodes, masters: append([]string(nil), test.given...)}
			p.chooseNodes(want)
			zones, hosts := map[string]int{}, map[string]bool{}
			for i, host := range p.masters {
				if host == "" || test.given[i] != "" && host != test.given[i] {
					t.Errorf("%s: masters %v, before %v", test.name, p.masters, test.given)
				}
				zones[p.zone(host)]++
				hosts[host] = true
			}
			for _, count := range zones {
				if count > test.most || len(hosts) != 3 || len(p.problems) > 0 {
					t.Errorf("%s: masters %v, problems %v", test.name, p.masters, p.problems)
				}
			}
		}
	}
}
