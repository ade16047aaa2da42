package render

import (
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
)

// AnnotationApplied is the annotation of the ConfigMap that holds [Applied] as
// JSON.
const AnnotationApplied = "jindo.io/applied"

// Applied is the part of a runtime's spec that cannot be changed while pods run.
// It is recorded when the runtime is created, so that a change of the spec is
// detected and reported instead of being applied partially.
type Applied struct {
	MasterReplicas   int32                `json:"masterReplicas"`
	StorageClassName *string              `json:"storageClassName,omitempty"`
	MasterDisabled   bool                 `json:"masterDisabled,omitempty"`
	WorkerDisabled   bool                 `json:"workerDisabled,omitempty"`
	FuseDisabled     bool                 `json:"fuseDisabled,omitempty"`
	TieredStore      v1alpha1.TieredStore `json:"tieredstore"`
	// RenderedBy is the image of the controller that created the pod templates.
	// Later controllers do not change the templates: pods keep their image, which
	// may not support the later templates.
	RenderedBy string `json:"renderedBy,omitempty"`
}

// AppliedOf returns the Applied of a runtime whose defaults are set.
func AppliedOf(runtime *v1alpha1.JindoRuntime) Applied {
	spec := runtime.Spec.DeepCopy()
	applied := Applied{
		StorageClassName: spec.Master.StorageClassName, TieredStore: spec.TieredStore,
		MasterDisabled: spec.Master.Disabled, WorkerDisabled: spec.Worker.Disabled, FuseDisabled: spec.Fuse.Disabled,
	}
	if spec.Master.Replicas != nil {
		applied.MasterReplicas = *spec.Master.Replicas
	}
	return applied
}

// Restore sets the fields of a runtime's spec to the applied values.
func (a Applied) Restore(runtime *v1alpha1.JindoRuntime) {
	replicas := a.MasterReplicas
	spec := &runtime.Spec
	spec.Master.Replicas, spec.Master.StorageClassName = &replicas, a.StorageClassName
	spec.Master.Disabled, spec.Worker.Disabled, spec.Fuse.Disabled = a.MasterDisabled, a.WorkerDisabled, a.FuseDisabled
	spec.TieredStore = *a.TieredStore.DeepCopy()
}

// Config is the content of a runtime's ConfigMap.
type Config struct {
	ClusterID string
	Formed    bool
	// Applied is nil if it was not recorded.
	Applied *Applied
}

// ReadConfig decodes the ConfigMap of a runtime.
func ReadConfig(config *corev1.ConfigMap) (Config, error) {
	var c Config
	var members struct {
		ClusterID string `json:"clusterID"`
	}
	if err := json.Unmarshal([]byte(config.Data[plan.RosterFile]), &members); err != nil {
		return c, fmt.Errorf("reading %s of ConfigMap %s/%s: %w", plan.RosterFile, config.Namespace, config.Name, err)
	}
	c.ClusterID = members.ClusterID
	c.Formed = config.Data[names.ConfigFormed] == "true"
	if raw, ok := config.Annotations[AnnotationApplied]; ok {
		var applied Applied
		if err := json.Unmarshal([]byte(raw), &applied); err != nil {
			return c, fmt.Errorf("reading annotation %s of ConfigMap %s/%s: %w", AnnotationApplied, config.Namespace, config.Name, err)
		}
		c.Applied = &applied
	}
	return c, nil
}

func (in *Input) config() (*corev1.ConfigMap, error) {
	members, err := Topology(in.Plan, in.ClusterID).Marshal()
	if err != nil {
		return nil, err
	}
	applied, err := json.Marshal(in.Applied)
	if err != nil {
		return nil, fmt.Errorf("encode annotation %s: %w", AnnotationApplied, err)
	}
	meta := in.meta(names.Config(in.Plan.Name), "")
	meta.Annotations = map[string]string{AnnotationApplied: string(applied)}
	return &corev1.ConfigMap{
		TypeMeta: typeMeta("v1", "ConfigMap"), ObjectMeta: meta,
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
