package get

import (
	"context"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// workerRole is the value of [names.LabelRole] on workers' pods.
const workerRole = "jindofs-worker"

// mounts lists the pods that mount Datasets.
func mounts(ctx context.Context, q *query) (*listing, error) {
	in := inventory.Read(ctx, q.session, q.cluster, q.namespace, inventory.Datasets, inventory.Claims, inventory.Pods)
	if len(in.Failures) > 0 && len(in.Pods) == 0 {
		return nil, clierror.Generalf("%s", in.Failures[0])
	}
	found := &listing{failures: in.Failures, list: &MountReportList{}, columns: []printer.Column{
		{Title: "POD"},
		{Title: "DATASET"},
		{Title: "TYPE"},
		{Title: "STATE"},
		{Title: "NODE", Drop: 2},
		{Title: "AGE", Right: true, Drop: 1},
		{Title: "ACCESS", Wide: true},
		{Title: "PATHS", Wide: true},
		{Title: "REASON", Wide: true},
	}}
	for _, use := range in.Uses() {
		if !q.labels.Matches(labels.Set(use.Pod.Labels)) {
			continue
		}
		r := mountReport(use)
		found.items = append(found.items, item{
			object: r, namespace: r.Namespace, name: r.Name, resource: "pod/" + r.Name,
			cells: []string{
				r.Name, r.Dataset, r.Type, q.podState(use.Pod), known(r.Node), printer.Age(use.Pod.CreationTimestamp.Time, q.now()),
				string(v1alpha1.ServedAccess(r.ReadOnly)), known(strings.Join(r.Paths, ",")), r.Reason,
			},
		})
	}
	return found, nil
}

func mountReport(use inventory.Use) *MountReport {
	pod := use.Pod
	r := &MountReport{
		TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: MountKind}, ObjectMeta: identity(pod),
		Dataset: use.Dataset, Type: use.Via, Node: pod.Spec.NodeName,
		State: health.PodState(pod), Ready: health.PodReady(pod), Reason: health.PodReason(pod), Paths: use.Paths,
	}
	if r.Paths == nil {
		r.Paths = []string{}
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == use.Dataset {
			r.ReadOnly = v.PersistentVolumeClaim.ReadOnly
		}
	}
	return r
}

func identity(pod *corev1.Pod) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Labels: pod.Labels, CreationTimestamp: pod.CreationTimestamp}
}

// mountNamed reports whether the name is that of the Dataset or of the pod.
func mountNamed(i item, name string) bool {
	r, ok := i.object.(*MountReport)
	return ok && (r.Dataset == name || r.Name == name)
}

// workers lists the pods of workers.
func workers(ctx context.Context, q *query) (*listing, error) {
	in := inventory.Read(ctx, q.session, q.cluster, q.namespace, inventory.Runtimes, inventory.Pods)
	if len(in.Failures) > 0 && len(in.Pods) == 0 {
		return nil, clierror.Generalf("%s", in.Failures[0])
	}
	found := &listing{failures: in.Failures, list: &WorkerReportList{}, columns: []printer.Column{
		{Title: "WORKER"},
		{Title: "RUNTIME", Drop: 3},
		{Title: "STATE"},
		{Title: "USED", Right: true},
		{Title: "CAPACITY", Right: true, Drop: 4},
		{Title: "NODE", Drop: 2},
		{Title: "RESTARTS", Right: true, Drop: 5},
		{Title: "AGE", Right: true, Drop: 1},
		{Title: "TIERS", Wide: true},
		{Title: "REASON", Wide: true},
	}}
	var reports []*WorkerReport
	var pods []*corev1.Pod
	for i := range in.Pods {
		pod := &in.Pods[i]
		if pod.Labels[names.LabelManagedBy] != names.ManagedBy || pod.Labels[names.LabelRole] != workerRole || !q.labels.Matches(labels.Set(pod.Labels)) {
			continue
		}
		r := workerReport(pod)
		if runtime := in.Runtime(pod.Namespace, r.Runtime); runtime != nil {
			r.Dataset = datasetServed(runtime)
		}
		reports, pods = append(reports, r), append(pods, pod)
	}
	found.failures = append(found.failures, q.queryWorkers(ctx, in, reports)...)
	for i, r := range reports {
		used, capacity, tiers := printer.Unknown, printer.Unknown, printer.Unknown
		if r.Cache != nil {
			used, capacity, tiers = printer.Bytes(r.Cache.Used), printer.Bytes(r.Cache.Capacity), tierCell(r.Cache.Tiers)
		}
		found.items = append(found.items, item{
			object: r, namespace: r.Namespace, name: r.Name, resource: "pod/" + r.Name,
			cells: []string{
				r.Name, r.Runtime, q.podState(pods[i]), used, capacity, known(r.Node),
				strconv.Itoa(r.Restarts), printer.Age(r.CreationTimestamp.Time, q.now()), tiers, r.Reason,
			},
		})
	}
	return found, nil
}

func workerReport(pod *corev1.Pod) *WorkerReport {
	return &WorkerReport{
		TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: WorkerKind}, ObjectMeta: identity(pod),
		Runtime: pod.Labels[names.LabelRelease], Node: pod.Spec.NodeName,
		State: health.PodState(pod), Ready: health.PodReady(pod), Restarts: health.PodRestarts(pod), Reason: health.PodReason(pod),
	}
}

func datasetServed(runtime *v1alpha1.JindoRuntime) string {
	if c := health.RuntimeCondition(runtime, v1alpha1.RuntimeDatasetBound); c != nil && c.Status == corev1.ConditionTrue {
		return inventory.DatasetOf(runtime)
	}
	return ""
}

func tierCell(tiers []report.Tier) string {
	texts := make([]string, len(tiers))
	for i, t := range tiers {
		texts[i] = t.Medium + " " + printer.Bytes(t.Used) + " of " + printer.Bytes(t.Capacity)
	}
	return known(strings.Join(texts, ", "))
}

// workerNamed reports whether the name is that of the runtime, its Dataset or the
// pod.
func workerNamed(i item, name string) bool {
	r, ok := i.object.(*WorkerReport)
	return ok && (r.Runtime == name || r.Dataset == name || r.Name == name)
}

func (o *options) podState(pod *corev1.Pod) string {
	return state(o.screen(), health.PodLevel(pod), health.PodState(pod))
}
