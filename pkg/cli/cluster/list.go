package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// objects are the listed objects of a namespace, or of all.
type objects struct {
	inventory.Inventory
	events []corev1.Event
	// nodes are listed only when a pod is not ready for no reason of its own.
	nodes map[string]*corev1.Node
	// notes are sentences about what could not be listed.
	notes []string
}

// list lists everything with parallel requests. It fails only when runtimes cannot
// be listed; anything else that cannot be listed is a note.
func (s *Source) list(ctx context.Context, namespace string) (*objects, error) {
	var (
		f        = &objects{}
		runtimes v1alpha1.JindoRuntimeList
		datasets v1alpha1.DatasetList
		pods     corev1.PodList
		events   corev1.EventList
		failed   [4]error
		listing  sync.WaitGroup
	)
	where := client.InNamespace(namespace)
	listing.Go(func() { failed[0] = s.explain("JindoRuntimes", namespace, s.cluster.List(ctx, &runtimes, where)) })
	listing.Go(func() { failed[1] = s.explain("Datasets", namespace, s.cluster.List(ctx, &datasets, where)) })
	listing.Go(func() { failed[2] = s.explain("Pods", namespace, s.cluster.List(ctx, &pods, where)) })
	if namespace != "" { // rows contain no events
		listing.Go(func() { failed[3] = s.explain("Events", namespace, s.cluster.List(ctx, &events, where)) })
	}
	listing.Wait()
	if failed[0] != nil {
		return nil, failed[0]
	}
	for _, err := range failed[1:] {
		if err != nil {
			f.notes = append(f.notes, sentence(err))
		}
	}
	f.Runtimes, f.Datasets, f.Pods, f.events = runtimes.Items, datasets.Items, pods.Items, events.Items
	s.listNodes(ctx, f)
	return f, nil
}

func (s *Source) explain(kind, namespace string, err error) error {
	act := "listing " + kind
	if namespace != "" {
		act += " in namespace " + namespace
	}
	return apierror.Explain(s.session, s.cluster, act, err)
}

// listNodes lists the nodes when a pod is not ready for no reason of its own. A user
// without the right sees the state of the pods only.
func (s *Source) listNodes(ctx context.Context, f *objects) {
	wanted := slices.ContainsFunc(f.Pods, func(p corev1.Pod) bool {
		return p.Labels[names.LabelApp] == names.App && p.Spec.NodeName != "" && !health.PodReady(&p) && health.PodReason(&p) == ""
	})
	if !wanted {
		return
	}
	var nodes corev1.NodeList
	if s.cluster.List(ctx, &nodes) != nil {
		return
	}
	f.nodes = map[string]*corev1.Node{}
	for i := range nodes.Items {
		f.nodes[nodes.Items[i].Name] = &nodes.Items[i]
	}
}

// sentence returns the message of an error without its hints.
func sentence(err error) string {
	var failed *clierror.Error
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return err.Error()
}

func sortRefs(refs []report.Ref) {
	slices.SortFunc(refs, func(a, b report.Ref) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(cmp.Or(a.Name, a.Dataset), cmp.Or(b.Name, b.Dataset)))
	})
}
