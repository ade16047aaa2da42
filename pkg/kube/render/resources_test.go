package render

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/jindo-io/jindo/pkg/plan"
)

// Pods of no role are of the class BestEffort, and declared resources are not changed.
func TestDefaultRequests(t *testing.T) {
	quantities := func(pairs ...string) corev1.ResourceList {
		list := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return list
	}
	for _, test := range []struct {
		name      string
		declared  corev1.ResourceRequirements
		requested corev1.ResourceList
	}{
		{"nothing", corev1.ResourceRequirements{}, quantities("cpu", "20m", "memory", "64Mi")},
		{"a request", corev1.ResourceRequirements{Requests: quantities("cpu", "1")}, quantities("cpu", "1", "memory", "64Mi")},
		{"a limit", corev1.ResourceRequirements{Limits: quantities("memory", "1Mi")}, quantities("cpu", "20m")},
		{"guaranteed", corev1.ResourceRequirements{Limits: quantities("cpu", "1", "memory", "1Gi")}, nil},
		{"another resource", corev1.ResourceRequirements{Limits: quantities("example.com/gpu", "1")}, quantities("cpu", "20m", "memory", "64Mi")},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := input(t, "testdata/emptydir.yaml")
			in.Runtime.Spec.Master.Resources = test.declared
			before := test.declared.DeepCopy()
			objects, err := Objects(in)
			if err != nil {
				t.Fatal(err)
			}
			got := templates(objects)["train-jindofs-master"].Spec.Containers[0].Resources
			if len(got.Requests) != len(test.requested) || len(got.Limits) != len(before.Limits) {
				t.Fatalf("resources %+v", got)
			}
			for name, want := range test.requested {
				if q := got.Requests[name]; q.Cmp(want) != 0 {
					t.Errorf("request of %s: %s, want %s", name, &q, &want)
				}
			}
			if len(in.Runtime.Spec.Master.Resources.Requests) != len(before.Requests) {
				t.Errorf("the runtime requests %v now", in.Runtime.Spec.Master.Resources.Requests)
			}
		})
	}
	for _, role := range []plan.Role{plan.RoleMaster, plan.RoleWorker, plan.RoleFuse} {
		if len(withRequests(corev1.ResourceRequirements{}, role).Requests) != 2 {
			t.Errorf("pods of %s are of the class BestEffort", role)
		}
	}
}

// Masters and FUSE servers have the priority class, workers none; FUSE servers may have
// another one.
func TestPriorityClasses(t *testing.T) {
	for _, test := range []struct{ all, fuse, master, worker, server string }{
		{"", "", "", "", ""},
		{"servers", "", "servers", "", "servers"},
		{"servers", "critical", "servers", "", "critical"},
	} {
		in := input(t, "testdata/emptydir.yaml")
		in.PriorityClass, in.FusePriorityClass = test.all, test.fuse
		objects, err := Objects(in)
		if err != nil {
			t.Fatal(err)
		}
		for role, want := range map[string]string{"master": test.master, "worker": test.worker, "fuse": test.server} {
			if got := templates(objects)["train-jindofs-"+role].Spec.PriorityClassName; got != want {
				t.Errorf("%+v: %s has class %q", test, role, got)
			}
		}
	}
}

// Masters are spread over zones, and one that cannot be is scheduled nevertheless.
func TestMastersAreSpreadOverZones(t *testing.T) {
	objects, err := Objects(input(t, "testdata/emptydir.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	spread := templates(objects)["train-jindofs-master"].Spec.TopologySpreadConstraints
	if len(spread) != 1 || spread[0].TopologyKey != corev1.LabelTopologyZone || spread[0].WhenUnsatisfiable != corev1.ScheduleAnyway ||
		spread[0].LabelSelector.MatchLabels["role"] != "jindofs-master" {
		t.Errorf("constraints %+v", spread)
	}
}
