package version

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/semver"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
	kube "github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// components are the names of the product's workloads.
func components() []string {
	return []string{"csi-nodeplugin-fluid", "dataset-controller", "jindoruntime-controller", names.Webhook}
}

// collector collects the versions of a cluster.
type collector struct {
	session  *session.Session
	cluster  *session.Cluster
	mu       sync.Mutex
	report   *Report
	requests int
}

// addCluster adds the versions of the cluster. It fails only if a cluster was
// selected and no request succeeded.
func addCluster(ctx context.Context, s *session.Session, r *Report) error {
	c, err := s.Cluster()
	if err != nil {
		r.Failures = append(r.Failures, "only this program is shown: "+err.Error())
		return nil
	}
	a := &collector{session: s, cluster: c, report: r}
	var requests sync.WaitGroup
	for _, request := range []func(context.Context) error{a.deployments, a.daemonSets, a.members, a.crd("datasets"), a.crd("jindoruntimes"), a.crd("dataloads")} {
		a.requests++
		requests.Go(func() {
			if err := request(ctx); err != nil {
				a.mu.Lock()
				defer a.mu.Unlock()
				r.Failures = append(r.Failures, err.Error())
			}
		})
	}
	requests.Wait()
	slices.SortFunc(r.Components, func(a, b Component) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(r.CRDs, func(a, b CRD) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(r.Failures)
	if len(r.Failures) == a.requests {
		err := fmt.Errorf("read the cluster: %s", r.Failures[0])
		r.Failures = nil
		return err
	}
	if len(r.Components) == 0 && len(r.Failures) == 0 {
		r.Warnings = append(r.Warnings, "Jindo is not installed: none of its components is in namespace "+names.SystemNamespace)
	}
	r.Warnings = append(r.Warnings, skew(r)...)
	return nil
}

func (a *collector) list(ctx context.Context, what string, into kube.ObjectList, options ...kube.ListOption) error {
	return apierror.Explain(a.session, a.cluster, "list "+what, a.cluster.List(ctx, into, options...))
}

func (a *collector) deployments(ctx context.Context) error {
	list := &appsv1.DeploymentList{}
	if err := a.list(ctx, "Deployments of namespace "+names.SystemNamespace, list, kube.InNamespace(names.SystemNamespace)); err != nil {
		return err
	}
	for i := range list.Items {
		d := &list.Items[i]
		wanted := int32(1)
		if d.Spec.Replicas != nil {
			wanted = *d.Spec.Replicas
		}
		a.add(d.Name, &d.Spec.Template.Spec, d.Status.ReadyReplicas, wanted)
	}
	return nil
}

func (a *collector) daemonSets(ctx context.Context) error {
	list := &appsv1.DaemonSetList{}
	if err := a.list(ctx, "DaemonSets of namespace "+names.SystemNamespace, list, kube.InNamespace(names.SystemNamespace)); err != nil {
		return err
	}
	for i := range list.Items {
		d := &list.Items[i]
		a.add(d.Name, &d.Spec.Template.Spec, d.Status.NumberReady, d.Status.DesiredNumberScheduled)
	}
	return nil
}

func (a *collector) add(name string, pod *corev1.PodSpec, ready, wanted int32) {
	if !slices.Contains(components(), name) || len(pod.Containers) == 0 {
		return
	}
	image := pod.Containers[0].Image
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Components = append(a.report.Components, Component{Name: name, Version: Tag(image), Image: image, Ready: ready, Wanted: wanted})
}

// members returns the pods of runtimes in all namespaces or, without the right to
// list them, in the session's namespace.
func (a *collector) members(ctx context.Context) error {
	list := &corev1.PodList{}
	ours := kube.MatchingLabels{names.LabelManagedBy: names.ManagedBy}
	err := a.cluster.List(ctx, list, ours)
	if apierrors.IsForbidden(err) {
		err = a.cluster.List(ctx, list, ours, kube.InNamespace(a.cluster.Namespace))
	}
	if err != nil {
		return apierror.Explain(a.session, a.cluster, "list Pods of runtimes", err)
	}
	found := map[string]*Runtime{}
	for i := range list.Items {
		pod := &list.Items[i]
		role, ours := strings.CutPrefix(pod.Labels[names.LabelRole], "jindofs-")
		if !ours || pod.Labels[names.LabelRelease] == "" || len(pod.Spec.Containers) == 0 {
			continue
		}
		key := pod.Namespace + "/" + pod.Labels[names.LabelRelease]
		r := found[key]
		if r == nil {
			r = &Runtime{Namespace: pod.Namespace, Name: pod.Labels[names.LabelRelease], Members: map[string]int{}, Roles: map[string]map[string]int{}}
			found[key] = r
		}
		tag := Tag(pod.Spec.Containers[0].Image)
		r.Members[tag]++
		if r.Roles[role] == nil {
			r.Roles[role] = map[string]int{}
		}
		r.Roles[role][tag]++
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range found {
		a.report.Runtimes = append(a.report.Runtimes, *r)
	}
	slices.SortFunc(a.report.Runtimes, func(a, b Runtime) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return nil
}

func (a *collector) crd(plural string) func(context.Context) error {
	return func(ctx context.Context) error {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		name := plural + "." + v1alpha1.Group
		err := a.cluster.Get(ctx, kube.ObjectKey{Name: name}, u)
		a.mu.Lock()
		defer a.mu.Unlock()
		if apierrors.IsNotFound(err) {
			a.report.Warnings = append(a.report.Warnings, "CustomResourceDefinition "+name+" is not installed")
			return nil
		}
		if err != nil {
			return apierror.Explain(a.session, a.cluster, "reading CustomResourceDefinition "+name, err)
		}
		stored, _, _ := unstructured.NestedStringSlice(u.Object, "status", "storedVersions")
		if stored == nil {
			stored = []string{}
		}
		a.report.CRDs = append(a.report.CRDs, CRD{Name: name, StoredVersions: stored})
		return nil
	}
}

// Tag returns the tag of an image, or its digest.
func Tag(image string) string {
	if name, digest, found := strings.Cut(image, "@"); found {
		if tag := Tag(name); tag != "latest" {
			return tag
		}
		return digest
	}
	rest := image[strings.LastIndexByte(image, '/')+1:]
	if _, tag, found := strings.Cut(rest, ":"); found {
		return tag
	}
	return "latest"
}

// skew returns warnings about versions that are not supported together.
func skew(r *Report) []string {
	var warnings []string
	versions := map[string][]string{}
	for _, c := range r.Components {
		versions[c.Version] = append(versions[c.Version], c.Name)
	}
	if len(versions) > 1 {
		var parts []string
		for v, components := range versions {
			parts = append(parts, strings.Join(components, ", ")+" "+v)
		}
		slices.Sort(parts)
		warnings = append(warnings, "the components are of different versions: "+strings.Join(parts, "; "))
	}
	for _, c := range r.Components {
		if far(r.Client.Version, c.Version) {
			warnings = append(warnings, fmt.Sprintf("this program is %s and %s is %s: use a program of the same minor version", r.Client.Version, c.Name, c.Version))
			break
		}
	}
	return warnings
}

// far reports whether two releases differ in more than their patch version. Versions
// that are not releases are never far from each other.
func far(a, b string) bool {
	a, b = release(a), release(b)
	return a != "" && b != "" && semver.MajorMinor(a) != semver.MajorMinor(b)
}

func release(v string) string {
	if !strings.HasPrefix(v, "v") {
		v = "v" + v
	}
	if !semver.IsValid(v) {
		return ""
	}
	return v
}
