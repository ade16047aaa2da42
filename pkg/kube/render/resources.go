package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/plan"
)

// defaultRequests are the CPU and the memory that containers request whose spec has
// neither a request nor a limit of them. Pods without any are of the class BestEffort:
// they get the least CPU, so that elections are lost, and are evicted and killed first.
// The requests are small, because they reserve capacity that small runtimes do not use.
// There are no default limits: a limit of the CPU throttles, and one of the memory kills.
var defaultRequests = map[plan.Role]corev1.ResourceList{
	plan.RoleMaster: requests("20m", "64Mi"),
	plan.RoleWorker: requests("50m", "128Mi"),
	plan.RoleFuse:   requests("20m", "64Mi"),
}

func requests(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

// withRequests returns resources with the default requests of a role. A limit without a
// request is the request, which the API server sets.
func withRequests(resources corev1.ResourceRequirements, role plan.Role) corev1.ResourceRequirements {
	added := *resources.DeepCopy()
	for name, quantity := range defaultRequests[role] {
		_, limited := added.Limits[name]
		_, requested := added.Requests[name]
		if limited || requested {
			continue
		}
		if added.Requests == nil {
			added.Requests = corev1.ResourceList{}
		}
		added.Requests[name] = quantity.DeepCopy()
	}
	return added
}

// withMemoryTiers returns the resources of a worker with the quotas of its tiers in
// memory added to the memory that it requests and to its limit: the kernel charges the
// files of an emptyDir in memory to the container that writes them. A limit without a
// request is the request, too, and a worker without a limit gets none.
func withMemoryTiers(resources corev1.ResourceRequirements, workers *plan.Component) corev1.ResourceRequirements {
	var quota int64
	for _, v := range workers.Volumes {
		if v.Tier != nil && v.Tier.Medium == v1alpha1.MediumMEM {
			quota += v.Tier.Quota
		}
	}
	if quota == 0 {
		return resources
	}
	sum := *resources.DeepCopy()
	for _, list := range []corev1.ResourceList{sum.Limits, sum.Requests} {
		if q, there := list[corev1.ResourceMemory]; there {
			list[corev1.ResourceMemory] = plus(q, quota)
		}
	}
	return sum
}

// plus returns a quantity with a number of bytes added.
func plus(q resource.Quantity, bytes int64) resource.Quantity {
	q.Add(*resource.NewQuantity(bytes, resource.BinarySI))
	return q
}
