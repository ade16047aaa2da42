package render

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

func typeMeta(apiVersion, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
}

// masterService returns the headless Service of one master. It publishes addresses
// of pods that are not ready, because masters must find each other first.
func (in *Input) masterService(ordinal int) *corev1.Service {
	selector := Selector(in.Plan.Name, plan.RoleMaster)
	selector["statefulset.kubernetes.io/pod-name"] = in.Plan.Masters.InstanceName(ordinal)
	return in.headless(names.MasterService(in.Plan.Name, ordinal), in.Plan.Masters, selector)
}

// workerService returns the headless Service of the workers.
func (in *Input) workerService() *corev1.Service {
	return in.headless(names.Component(in.Plan.Name, string(plan.RoleWorker)), in.Plan.Workers, Selector(in.Plan.Name, plan.RoleWorker))
}

func (in *Input) headless(name string, c *plan.Component, selector map[string]string) *corev1.Service {
	service := &corev1.Service{
		TypeMeta: typeMeta("v1", "Service"), ObjectMeta: in.meta(name, string(c.Role)),
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, PublishNotReadyAddresses: true, Selector: selector,
		},
	}
	for _, port := range c.Ports {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{
			Name: port.Name, Port: int32(port.Port), TargetPort: intstr.FromString(port.Name), Protocol: corev1.ProtocolTCP,
		})
	}
	return service
}
