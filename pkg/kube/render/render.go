// Package render renders a plan as Kubernetes objects.
//
// It is pure: it does not access a cluster, a clock or the environment, and equal
// inputs give equal objects. Information from the cluster, such as the nodes of the
// masters' volumes, is part of the [Input].
//
// If a tier is on a path of the node, masters and workers run as root without any
// capability, because the kubelet creates such directories as root. Otherwise every
// pod meets the Pod Security Standard "restricted".
package render

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Input is the input of Objects.
type Input struct {
	Plan *plan.Plan
	// Runtime and Dataset are the objects that the plan was built from. Dataset is
	// nil for a runtime without one.
	Runtime *v1alpha1.JindoRuntime
	Dataset *v1alpha1.Dataset
	// Scope is the scope of the runtime; zero selects that without a recorded name.
	Scope names.Scope
	// Images are the complete image references of the pods.
	Images v1alpha1.RuntimeImages
	// ClusterID and Formed are the formation record.
	ClusterID string
	Formed    bool
	// CA is the certificate of the runtime's authority, in PEM.
	CA []byte
	// MasterNodes are the values of the label kubernetes.io/hostname of the nodes
	// of the masters' volumes, by ordinal; empty for a master without a node.
	MasterNodes []string
	// PriorityClass is the priority class of masters, and of fuse pods unless
	// FusePriorityClass is another one; empty for none.
	PriorityClass     string
	FusePriorityClass string
	// SystemNamespace is the namespace of the controller; the default is
	// names.SystemNamespace.
	SystemNamespace string
	// HostPaths are the directories of nodes that runtimes may use.
	HostPaths hostpath.Policy
	// PodSecurity is the reason why the namespace forbids directories of nodes; nil
	// if it does not.
	PodSecurity error
}

// Objects returns the objects of a runtime in the order in which to apply them:
// objects that pods refer to come before the pods. It returns an error if in has no
// plan or runtime, or if the ConfigMap cannot be encoded.
//
// If masters or workers would use directories of nodes that they may not use, it
// returns all other objects, and a [*HostPathError].
func Objects(in Input) ([]client.Object, error) {
	if in.Plan == nil || in.Runtime == nil {
		return nil, errors.New("render runtime: plan or runtime is missing")
	}
	if in.Scope.Name == "" {
		in.Scope = names.ScopeOf(in.Plan.Namespace, in.Plan.Name, "")
	}
	config, err := in.config()
	if err != nil {
		return nil, fmt.Errorf("render JindoRuntime %s/%s: %w", in.Plan.Namespace, in.Plan.Name, err)
	}
	objects, refused := []client.Object{in.serviceAccount(), config}, &HostPathError{}
	objects = append(objects, in.networkPolicies()...)
	if masters := in.Plan.Masters; masters != nil {
		for i := range int(masters.Replicas) {
			objects = append(objects, in.masterService(i))
		}
		objects = in.addAllowed(objects, refused, in.mastersAndVolumes()...)
	}
	if in.Plan.Workers != nil {
		objects = append(objects, in.workerService())
		objects = in.addAllowed(objects, refused, in.workers())
	}
	if in.Plan.Fuse != nil {
		objects = in.addAllowed(objects, refused, in.fuse())
	}
	if err := stamp(objects); err != nil {
		return nil, fmt.Errorf("render JindoRuntime %s/%s: %w", in.Plan.Namespace, in.Plan.Name, err)
	}
	if len(refused.errs) > 0 {
		return objects, refused
	}
	return objects, nil
}

// mastersAndVolumes returns the masters with their volumes on nodes and their budget.
func (in *Input) mastersAndVolumes() []client.Object {
	var objects []client.Object
	for i, node := range in.MasterNodes {
		if volume := in.masterVolume(i, node); volume != nil {
			objects = append(objects, volume)
		}
	}
	if budget := in.masterBudget(); budget != nil {
		objects = append(objects, budget)
	}
	return append(objects, in.masters())
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

// Masters returns all masters that run, also those that the topology does not list any
// more.
func Masters(p *plan.Plan, clusterID string) []topology.Member {
	return Topology(p.AllListed(), clusterID).Masters
}

// meta returns the metadata of an object that is owned by the runtime.
func (in *Input) meta(name, role string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: in.Plan.Namespace, Name: name, Labels: in.labels(role),
		OwnerReferences: []metav1.OwnerReference{Owner(in.Runtime)},
	}
}

// Owner returns the owner reference of a runtime's objects.
func Owner(runtime *v1alpha1.JindoRuntime) metav1.OwnerReference {
	return *metav1.NewControllerRef(runtime, schema.FromAPIVersionAndKind(v1alpha1.APIVersion, v1alpha1.JindoRuntimeKind))
}

// labels returns the labels of the runtime's objects.
func (in *Input) labels(role string) map[string]string {
	labels := names.Labels(in.Plan.Name, role)
	labels[names.LabelDatasetID] = in.Scope.DatasetID()
	return labels
}

// Selector returns the labels that select the pods of a role.
func Selector(runtime string, role plan.Role) map[string]string {
	all := names.Labels(runtime, string(role))
	return map[string]string{
		names.LabelApp: all[names.LabelApp], names.LabelRelease: all[names.LabelRelease], names.LabelRole: all[names.LabelRole],
	}
}
