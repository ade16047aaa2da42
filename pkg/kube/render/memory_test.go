package render

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// TestMemoryTiersCount checks that the quotas of tiers in memory are part of the memory
// that workers request and of their limit, and that the runtime is not changed.
func TestMemoryTiersCount(t *testing.T) {
	list := func(memory string) corev1.ResourceList {
		if memory == "" {
			return nil
		}
		return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory), corev1.ResourceCPU: resource.MustParse("1")}
	}
	for _, test := range []struct {
		name, request, limit, wantRequest, wantLimit string
	}{
		{"neither", "", "", "1152Mi", ""},
		{"a request", "512Mi", "", "1536Mi", ""},
		{"a limit", "", "2Gi", "", "3Gi"},
		{"both, the limit below the quota", "256Mi", "512Mi", "1280Mi", "1536Mi"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := input(t, "testdata/emptydir.yaml") // 1Gi of memory, 12Gi on disks
			in.Runtime.Spec.Worker.Resources = corev1.ResourceRequirements{Requests: list(test.request), Limits: list(test.limit)}
			objects, err := Objects(in)
			if err != nil {
				t.Fatal(err)
			}
			got := templates(objects)["train-jindofs-worker"].Spec.Containers[0].Resources
			for _, c := range []struct {
				what, want string
				got        corev1.ResourceList
			}{{"request", test.wantRequest, got.Requests}, {"limit", test.wantLimit, got.Limits}} {
				q, there := c.got[corev1.ResourceMemory]
				if there != (c.want != "") || there && q.Cmp(resource.MustParse(c.want)) != 0 {
					t.Errorf("%s %s, want %q", c.what, q.String(), c.want)
				}
			}
			spec := in.Runtime.Spec.Worker.Resources
			if test.limit != "" && spec.Limits.Memory().Cmp(resource.MustParse(test.limit)) != 0 {
				t.Errorf("the limit of the runtime is now %s", spec.Limits.Memory())
			}
			if masters := templates(objects)["train-jindofs-master"].Spec.Containers[0].Resources; masters.Requests.Memory().String() != "64Mi" {
				t.Errorf("masters request %v", masters.Requests)
			}
		})
	}
}
