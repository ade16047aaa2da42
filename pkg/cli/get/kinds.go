package get

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

// kind is a resource type of the command line.
type kind struct {
	noun, singular string
	// aliases are further words for the type.
	aliases  []string
	complete func(*session.Session) completion.Function
	list     func(ctx context.Context, q *query) (*listing, error)
	// named reports whether a name on the command line selects an item.
	named func(i item, name string) bool
	// watched returns the list type whose changes affect the items.
	watched func() client.ObjectList
}

func kinds() []*kind {
	byName := func(i item, name string) bool { return i.name == name }
	return []*kind{
		{
			noun: "datasets", singular: "dataset", aliases: []string{"ds", "dataset.data.fluid.io", "datasets.data.fluid.io"},
			complete: completion.Datasets, list: datasets, named: byName,
			watched: func() client.ObjectList { return &v1alpha1.DatasetList{} },
		},
		{
			noun: "runtimes", singular: "runtime", aliases: []string{"jindo", "jindoruntime", "jindoruntimes", "jindoruntime.data.fluid.io", "jindoruntimes.data.fluid.io"},
			complete: completion.Runtimes, list: runtimes, named: byName,
			watched: func() client.ObjectList { return &v1alpha1.JindoRuntimeList{} },
		},
		{
			noun: "loads", singular: "load", aliases: []string{"dataload", "dataloads", "dataload.data.fluid.io", "dataloads.data.fluid.io"},
			complete: completion.Loads, list: loads, named: byName,
			watched: func() client.ObjectList { return &v1alpha1.DataLoadList{} },
		},
		{
			noun: "mounts", singular: "mount", complete: completion.DatasetsAndRuntimes, list: mounts, named: mountNamed,
			watched: func() client.ObjectList { return &corev1.PodList{} },
		},
		{
			noun: "workers", singular: "worker", complete: completion.Runtimes, list: workers, named: workerNamed,
			watched: func() client.ObjectList { return &corev1.PodList{} },
		},
	}
}

func nouns() []string {
	all := kinds()
	words := make([]string, len(all))
	for i, k := range all {
		words[i] = k.noun
	}
	return words
}

// kindOf returns the type that a word names, or nil.
func kindOf(word string) *kind {
	word = strings.ToLower(word)
	for _, k := range kinds() {
		if word == k.noun || word == k.singular || slices.Contains(k.aliases, word) {
			return k
		}
	}
	return nil
}

// objects lists the objects of a type of the API, without interpreting them.
func objects(ctx context.Context, q *query, kindName, noun string) (*unstructured.UnstructuredList, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: v1alpha1.Group, Version: v1alpha1.Version, Kind: kindName + "List"})
	err := q.cluster.List(ctx, list, client.InNamespace(q.namespace), client.MatchingLabelsSelector{Selector: q.labels})
	if err != nil {
		act := "listing " + noun
		if q.namespace != "" {
			act += " in namespace " + q.namespace
		}
		return nil, apierror.Explain(q.session, q.cluster, act, err)
	}
	for i := range list.Items {
		list.Items[i].SetManagedFields(nil) // as kubectl does
	}
	return list, nil
}

// typed returns the rows of objects, which are converted to T for their cells.
func typed[T any](q *query, list *unstructured.UnstructuredList, columns []printer.Column, cells func(*T) []string) (*listing, error) {
	found := &listing{columns: columns}
	for i := range list.Items {
		u := &list.Items[i]
		object := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, object); err != nil {
			return nil, fmt.Errorf("convert %s %s: %w", u.GetKind(), u.GetName(), err)
		}
		found.items = append(found.items, item{
			object: u, namespace: u.GetNamespace(), name: u.GetName(),
			resource: strings.ToLower(u.GetKind()) + "." + v1alpha1.Group + "/" + u.GetName(),
			cells:    cells(object),
		})
	}
	return found, nil
}

func datasets(ctx context.Context, q *query) (*listing, error) {
	list, err := objects(ctx, q, v1alpha1.DatasetKind, "Datasets")
	if err != nil {
		return nil, err
	}
	columns := []printer.Column{
		{Title: "NAME"},
		{Title: "PHASE"},
		{Title: "CACHED", Right: true, Drop: 2},
		{Title: "SHARE", Right: true},
		{Title: "CAPACITY", Right: true, Drop: 4},
		{Title: "SIZE", Right: true, Drop: 3},
		{Title: "FILES", Right: true, Drop: 6},
		{Title: "RUNTIME", Drop: 5},
		{Title: "AGE", Right: true, Drop: 1},
		{Title: "ACCESS", Wide: true},
		{Title: "HIT", Right: true, Wide: true},
		{Title: "MOUNTS", Wide: true},
		{Title: "MESSAGE", Wide: true},
	}
	screen := q.screen()
	return typed(q, list, columns, func(d *v1alpha1.Dataset) []string {
		st := &d.Status
		runtime := printer.None
		if len(st.Runtimes) > 0 {
			runtime = st.Runtimes[0].Name
		}
		uris := make([]string, len(d.Spec.Mounts))
		for i, m := range d.Spec.Mounts {
			uris[i] = m.MountPoint
		}
		result := health.EvaluateDataset(d)
		return []string{
			d.Name, state(screen, result.Level, result.State),
			cached(st.CacheStates, v1alpha1.CacheStateCached), cached(st.CacheStates, v1alpha1.CacheStateCachedPercentage), cached(st.CacheStates, v1alpha1.CacheStateCacheCapacity),
			known(st.UfsTotal), known(st.FileNum), runtime, printer.Age(d.CreationTimestamp.Time, q.now()),
			string(v1alpha1.ServedAccess(d.Spec.ReadOnly())), hitRatio(st.CacheStates), known(strings.Join(uris, ",")), result.Message(),
		}
	})
}

func runtimes(ctx context.Context, q *query) (*listing, error) {
	list, err := objects(ctx, q, v1alpha1.JindoRuntimeKind, "JindoRuntimes")
	if err != nil {
		return nil, err
	}
	columns := []printer.Column{
		{Title: "NAME"},
		{Title: "DATASET", Drop: 4},
		{Title: "READY"},
		{Title: "MASTERS", Right: true},
		{Title: "WORKERS", Right: true},
		{Title: "MOUNTS", Right: true, Drop: 2},
		{Title: "CACHED", Right: true, Drop: 5},
		{Title: "LEADER", Drop: 3},
		{Title: "AGE", Right: true, Drop: 1},
		{Title: "TERM", Right: true, Wide: true},
		{Title: "CAPACITY", Right: true, Wide: true},
		{Title: "IMAGE", Wide: true},
		{Title: "MESSAGE", Wide: true},
	}
	screen := q.screen()
	return typed(q, list, columns, func(r *v1alpha1.JindoRuntime) []string {
		st := &r.Status
		result := health.EvaluateRuntime(r)
		ready := "False"
		if result.Level == health.Ready {
			ready = "True"
		}
		leader, term, image := printer.None, printer.None, printer.None
		if st.Raft != nil {
			leader, term = known(st.Raft.Leader), printer.Count(uint64(max(0, st.Raft.Term)))
		}
		if st.Images != nil {
			image = known(st.Images.Jindo)
		}
		return []string{
			r.Name, inventory.DatasetOf(r), state(screen, result.Level, ready),
			part(st.MasterNumberReady, st.DesiredMasterNumberScheduled), part(st.WorkerNumberReady, st.DesiredWorkerNumberScheduled), part(st.FuseNumberReady, st.DesiredFuseNumberScheduled),
			cached(st.CacheStates, v1alpha1.CacheStateCached), leader, printer.Age(r.CreationTimestamp.Time, q.now()),
			term, cached(st.CacheStates, v1alpha1.CacheStateCacheCapacity), image, result.Message(),
		}
	})
}

func loads(ctx context.Context, q *query) (*listing, error) {
	list, err := objects(ctx, q, v1alpha1.DataLoadKind, "DataLoads")
	if err != nil {
		return nil, err
	}
	columns := []printer.Column{
		{Title: "NAME"}, {Title: "DATASET"}, {Title: "PHASE"}, {Title: "DURATION", Right: true, Drop: 2}, {Title: "AGE", Right: true, Drop: 1}, {Title: "MESSAGE", Wide: true},
	}
	screen := q.screen()
	return typed(q, list, columns, func(l *v1alpha1.DataLoad) []string {
		result := health.EvaluateDataLoad(l)
		return []string{
			l.Name, known(l.Spec.Dataset.Name),
			state(screen, result.Level, result.State),
			known(l.Status.Duration), printer.Age(l.CreationTimestamp.Time, q.now()), result.Message(),
		}
	})
}

// state returns the mark of a level and a word.
func state(screen iostreams.Screen, level health.Level, word string) string {
	mark := iostreams.Warn
	switch level {
	case health.Ready:
		mark = iostreams.Good
	case health.Failed:
		mark = iostreams.Bad
	case health.Pending:
	}
	return screen.Mark(mark) + " " + word
}

// hitRatio returns the hit ratio of the last minutes, or else that since the workers
// started.
func hitRatio(states v1alpha1.CacheStateList) string {
	return known(cmp.Or(states[v1alpha1.CacheStateRecentHitRatio], states[v1alpha1.CacheStateCacheHitRatio]))
}

func cached(states v1alpha1.CacheStateList, key v1alpha1.CacheStateName) string {
	return known(states[key])
}

func known(text string) string {
	if text == "" {
		return printer.None
	}
	return text
}

func part(ready, wanted int32) string { return fmt.Sprintf("%d/%d", ready, wanted) }
