// Package render turns a plan into the Kubernetes objects that carry it out.
//
// It is pure: it reads no cluster, no clock and no environment, and equal
// inputs give equal objects. What only a cluster knows, such as which nodes
// keep the masters' volumes, is in its [Input].
//
// Two renderings come out of one plan. With a tier on a path of the node,
// masters and workers run as root without any capability, because the kubelet
// makes such directories root's. Without one every pod passes Pod Security
// "restricted".
package render

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Input of one rendering.
type Input struct {
	Plan *plan.Plan
	// Runtime and Dataset that the plan was built from; Dataset is nil for a
	// runtime that serves none.
	Runtime *v1alpha1.JindoRuntime
	Dataset *v1alpha1.Dataset
	// Images of the pods, whole references.
	Images v1alpha1.RuntimeImages
	// ClusterID and Formed are the formation record.
	ClusterID string
	Formed    bool
	// CA is the certificate of the runtime's authority, in PEM.
	CA []byte
	// MasterNodes are the values of the label kubernetes.io/hostname of the
	// nodes that keep the masters' volumes, in the order of masters; an empty
	// one has no node yet.
	MasterNodes []string
	// FusePriorityClass of the fuse pods; empty for none.
	FusePriorityClass string
	// Applied is what of the spec the objects carry out.
	Applied Applied
}

// Objects of a runtime, in the order in which to apply them: what pods refer to
// before the pods.
func Objects(in Input) ([]client.Object, error) {
	if in.Plan == nil || in.Runtime == nil {
		return nil, errors.New("rendering a runtime: there is no plan")
	}
	config, err := in.config()
	if err != nil {
		return nil, fmt.Errorf("rendering JindoRuntime %s/%s: %w", in.Plan.Namespace, in.Plan.Name, err)
	}
	objects := []client.Object{in.serviceAccount(), config}
	if masters := in.Plan.Masters; masters != nil {
		for i := range int(masters.Replicas) {
			objects = append(objects, in.masterService(i))
		}
		for i, node := range in.MasterNodes {
			if volume := in.masterVolume(i, node); volume != nil {
				objects = append(objects, volume)
			}
		}
		if budget := in.masterBudget(); budget != nil {
			objects = append(objects, budget)
		}
		objects = append(objects, in.masters())
	}
	if in.Plan.Workers != nil {
		objects = append(objects, in.workerService(), in.workers())
	}
	if in.Plan.Fuse != nil {
		objects = append(objects, in.fuse())
	}
	return objects, nil
}

// Topology returns the topology of a plan, with the DNS names that its members
// have on Kubernetes.
func Topology(p *plan.Plan, clusterID string) topology.Topology {
	return p.Topology(clusterID, func(c *plan.Component, ordinal int) string {
		if c.Role == plan.RoleMaster {
			return names.MasterHost(p.Namespace, p.Name, ordinal)
		}
		return names.WorkerHost(p.Namespace, p.Name, ordinal)
	})
}

// meta of an object that belongs to the runtime and goes with it.
func (in *Input) meta(name, role string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: in.Plan.Namespace, Name: name, Labels: in.labels(role),
		OwnerReferences: []metav1.OwnerReference{Owner(in.Runtime)},
	}
}

// Owner is the reference to a runtime that its objects carry.
func Owner(runtime *v1alpha1.JindoRuntime) metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{
		APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.JindoRuntimeKind, Name: runtime.Name, UID: runtime.UID,
		Controller: &yes, BlockOwnerDeletion: &yes,
	}
}

// labels of the runtime's objects.
func (in *Input) labels(role string) map[string]string {
	labels := names.Labels(in.Plan.Name, role)
	labels[names.LabelDatasetID] = names.DatasetID(in.Plan.Namespace, in.Plan.Name)
	return labels
}

// Selector of a role's pods.
func Selector(runtime string, role plan.Role) map[string]string {
	all := names.Labels(runtime, string(role))
	return map[string]string{
		names.LabelApp: all[names.LabelApp], names.LabelRelease: all[names.LabelRelease], names.LabelRole: all[names.LabelRole],
	}
}
