package render

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
)

func (in *Input) config() (*corev1.ConfigMap, error) {
	members, err := Topology(in.Plan, in.ClusterID).Marshal()
	if err != nil {
		return nil, err
	}
	return &corev1.ConfigMap{
		TypeMeta: typeMeta("v1", "ConfigMap"), ObjectMeta: in.meta(names.Config(in.Plan.Name), ""),
		Data: map[string]string{
			plan.RosterFile: string(members), mtls.CAFile: string(in.CA), names.ConfigFormed: strconv.FormatBool(in.Formed),
		},
	}, nil
}

func (in *Input) serviceAccount() *corev1.ServiceAccount {
	no := false
	return &corev1.ServiceAccount{
		TypeMeta: typeMeta("v1", "ServiceAccount"), ObjectMeta: in.meta(names.ServiceAccount(in.Plan.Name), ""),
		AutomountServiceAccountToken: &no,
	}
}
