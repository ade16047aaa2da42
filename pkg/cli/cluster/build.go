package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// report returns the report on a runtime, or on a Dataset that no runtime serves.
func (f *objects) report(ref report.Ref, now time.Time) *report.Runtime {
	r := report.New(ref, now)
	r.Notes = append(r.Notes, f.notes...)
	runtime := f.Runtime(ref.Namespace, ref.Name)
	var dataset *v1alpha1.Dataset
	if runtime != nil {
		dataset = f.datasetOf(runtime)
	} else {
		dataset = f.Dataset(ref.Namespace, ref.Dataset)
	}
	f.fillDataset(r, dataset, runtime)
	if dataset != nil {
		f.fillConsumers(r, dataset)
	}
	if runtime == nil {
		f.unserved(r, dataset)
		return r
	}
	r.Created = moment(runtime.CreationTimestamp)
	f.fillMasters(r, runtime)
	f.fillWorkers(r, runtime)
	f.fillFuses(r, runtime)
	fillCache(r, runtime)
	f.fillEvents(r, runtime, dataset)
	evaluateHealth(r, runtime, dataset)
	return r
}

// unserved fills the report on a Dataset that no runtime serves.
func (f *objects) unserved(r *report.Runtime, dataset *v1alpha1.Dataset) {
	r.Unserved, r.Health, r.Cause = true, report.Unavailable, string(health.CauseBinding)
	if dataset == nil {
		return
	}
	r.Name, r.Created = dataset.Name, moment(dataset.CreationTimestamp)
	r.Problems = append(r.Problems, cmp.Or(r.Dataset.Message, "no JindoRuntime serves it"))
	f.fillEvents(r, nil, dataset)
}

func (f *objects) fillDataset(r *report.Runtime, dataset *v1alpha1.Dataset, runtime *v1alpha1.JindoRuntime) {
	if dataset == nil {
		r.Dataset = report.Dataset{Phase: string(v1alpha1.NotBoundDatasetPhase)}
		if runtime != nil {
			result := health.EvaluateRuntime(runtime)
			unbound, _ := result.FindCause(health.CauseBinding)
			r.Dataset.Message = unbound.Message
		}
		return
	}
	result := health.EvaluateDataset(dataset)
	r.Dataset = report.Dataset{Name: dataset.Name, Phase: result.State}
	if ready, found := result.Find(string(v1alpha1.DatasetReady)); found {
		r.Dataset.Message = ready.Message
	}
	files, atLeast := strings.CutSuffix(dataset.Status.FileNum, v1alpha1.AtLeast)
	if objects, err := strconv.ParseInt(files, 10, 64); err == nil {
		r.Dataset.Objects, r.Dataset.AtLeast = &objects, atLeast
	}
	if bytes, ok := printer.ParseBytes(strings.TrimSuffix(dataset.Status.UfsTotal, v1alpha1.AtLeast)); ok {
		total := int64(bytes)
		r.Dataset.Bytes = &total
	}
	for i := range dataset.Spec.Mounts {
		m := dataset.Spec.Mounts[i]
		r.Mounts = append(r.Mounts, report.Mount{
			Name: m.Name, Path: pathOf(&m), URI: m.MountPoint, ReadOnly: m.ReadOnly || dataset.Spec.ReadOnly(),
		})
	}
}

func pathOf(m *v1alpha1.Mount) string {
	if m.Path != "" {
		return m.Path
	}
	return "/" + m.Name
}

func (f *objects) fillConsumers(r *report.Runtime, dataset *v1alpha1.Dataset) {
	for _, use := range f.UsesOf(dataset) {
		if !use.Holds {
			continue
		}
		pod := f.pod(use.Pod)
		r.Consumers = append(r.Consumers, report.Consumer{Pod: *pod, Via: use.Via, Paths: use.Paths})
	}
}

// fillCache sets the figures of the status, which are rounded.
func fillCache(r *report.Runtime, runtime *v1alpha1.JindoRuntime) {
	states := runtime.Status.CacheStates
	r.Cache.Used, _ = printer.ParseBytes(states[v1alpha1.CacheStateCached])
	r.Cache.Capacity, _ = printer.ParseBytes(states[v1alpha1.CacheStateCacheCapacity])
	r.Cache.HitRatio = parsePercent(states[v1alpha1.CacheStateCacheHitRatio])
	r.Cache.RecentHitRatio = parsePercent(states[v1alpha1.CacheStateRecentHitRatio])
}

// parsePercent returns the share of a text such as "87.5%", or nil.
func parsePercent(text string) *float64 {
	number, found := strings.CutSuffix(text, "%")
	percent, err := strconv.ParseFloat(number, 64)
	if !found || err != nil {
		return nil
	}
	return new(percent / 100)
}

// fillEvents adds the newest events about the runtime, its Dataset and their pods and
// workloads.
func (f *objects) fillEvents(r *report.Runtime, runtime *v1alpha1.JindoRuntime, dataset *v1alpha1.Dataset) {
	pods := map[types.UID]*corev1.Pod{}
	for i := range f.Pods {
		pods[f.Pods[i].UID] = &f.Pods[i]
	}
	for i := range f.events {
		e := &f.events[i]
		if !concerns(&e.InvolvedObject, runtime, dataset) {
			continue
		}
		when := e.LastTimestamp
		if when.IsZero() {
			when = metav1.Time{Time: e.EventTime.Time}
		}
		if e.Series != nil {
			when = metav1.Time{Time: e.Series.LastObservedTime.Time}
		}
		pod := pods[e.InvolvedObject.UID]
		r.Events = append(r.Events, report.Event{
			Time: moment(when), Type: e.Type, Reason: e.Reason, Count: max(1, int(e.Count)),
			Object: strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name, Message: strings.Join(strings.Fields(e.Message), " "),
			Resolved: pod != nil && health.StartupWarningResolved(e, when.Time, pod),
		})
	}
	slices.SortStableFunc(r.Events, func(a, b report.Event) int {
		switch {
		case a.Time == nil || b.Time == nil:
			return 0
		}
		return b.Time.Compare(a.Time.Time)
	})
	const kept = 50
	if len(r.Events) > kept {
		r.Events = r.Events[:kept]
	}
}

func concerns(object *corev1.ObjectReference, runtime *v1alpha1.JindoRuntime, dataset *v1alpha1.Dataset) bool {
	if dataset != nil && object.Namespace == dataset.Namespace && object.Name == dataset.Name && object.Kind == v1alpha1.DatasetKind {
		return true
	}
	if runtime == nil || object.Namespace != runtime.Namespace {
		return false
	}
	if object.Kind == v1alpha1.JindoRuntimeKind {
		return object.Name == runtime.Name
	}
	for _, role := range []string{"master", "worker", "fuse"} {
		prefix := names.Component(runtime.Name, role)
		if object.Name == prefix || strings.HasPrefix(object.Name, prefix+"-") {
			return true
		}
	}
	return false
}

func moment(t metav1.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	value := metav1.NewTime(t.UTC())
	return &value
}

func ordinal(component string, i int) string { return fmt.Sprintf("%s-%d", component, i) }
