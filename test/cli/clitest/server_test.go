package clitest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/test/cli/clitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, s *clitest.Server) client.WithWatch {
	t.Helper()
	scheme, err := session.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWithWatch(s.Config(), client.Options{Scheme: scheme, Mapper: session.Mapper(scheme)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func dataset(name string, labels map[string]string) *v1alpha1.Dataset {
	return &v1alpha1.Dataset{
		ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: name, Labels: labels},
		Spec:       v1alpha1.DatasetSpec{Mounts: []v1alpha1.Mount{{MountPoint: "oss://b/", Name: "hadoop"}}},
	}
}

func TestObjects(t *testing.T) {
	s := clitest.New(t, dataset("old", map[string]string{"team": "a"}))
	c, ctx := connect(t, s), t.Context()
	if err := c.Create(ctx, dataset("new", nil)); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(ctx, dataset("new", nil)); !apierrors.IsAlreadyExists(err) {
		t.Errorf("second Create: got %v, want AlreadyExists", err)
	}
	if err := c.Create(ctx, dataset("dry", nil), client.DryRunAll); err != nil {
		t.Error(err)
	}
	var list v1alpha1.DatasetList
	if err := c.List(ctx, &list, client.InNamespace("vision")); err != nil || len(list.Items) != 2 || list.ResourceVersion == "" {
		t.Fatalf("%d datasets, error %v; want 2: a dry run must not store anything", len(list.Items), err)
	}
	if err := c.List(ctx, &list, client.MatchingLabels{"team": "a"}); err != nil || len(list.Items) != 1 || list.Items[0].Name != "old" {
		t.Errorf("by label: %v, error %v", list.Items, err)
	}
	if err := c.List(ctx, &list, client.MatchingFields{"metadata.name": "new"}); err != nil || len(list.Items) != 1 {
		t.Errorf("by field: %v, error %v", list.Items, err)
	}
	var got v1alpha1.Dataset
	if err := c.Get(ctx, client.ObjectKey{Namespace: "vision", Name: "new"}, &got); err != nil || got.UID == "" || got.Generation != 1 {
		t.Fatalf("got %+v, error %v", got.ObjectMeta, err)
	}
	stale := got.DeepCopy()
	got.Spec.Mounts[0].Path, got.Finalizers = "/x", []string{"a/b"}
	if err := c.Update(ctx, &got); err != nil || got.Generation != 2 {
		t.Errorf("generation %d, error %v", got.Generation, err)
	}
	if err := c.Update(ctx, stale); !apierrors.IsConflict(err) {
		t.Errorf("stale Update: got %v, want a conflict", err)
	}
	if err := c.Delete(ctx, &got); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(&got), &got); err != nil || got.DeletionTimestamp == nil {
		t.Fatalf("object with a finalizer: error %v, want a deletionTimestamp", err)
	}
	if err := c.Patch(ctx, &got, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(&got), &got); !apierrors.IsNotFound(err) {
		t.Errorf("deleted object without finalizers: got %v, want NotFound", err)
	}
}

func TestApply(t *testing.T) {
	s := clitest.New(t)
	c, ctx := connect(t, s), t.Context()
	object := func(path string) client.Object {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "data.fluid.io/v1alpha1", "kind": "Dataset", "metadata": map[string]any{"namespace": "vision", "name": "hbase"},
			"spec": map[string]any{"owner": map[string]any{"user": path}},
		}}
	}
	apply := func(value, manager string, options ...client.PatchOption) error {
		return c.Patch(ctx, object(value), client.Apply, append(options, client.FieldOwner(manager))...) //nolint:staticcheck // an unstructured apply
	}
	if err := apply("/a", "one", client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if found, _ := s.Find(dataset("hbase", nil)); found {
		t.Error("a dry run stored an object")
	}
	if err := apply("/a", "one"); err != nil {
		t.Fatal(err)
	}
	if err := apply("/b", "two"); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "one"`) {
		t.Errorf("apply of another manager's field: got %v, want a conflict with it", err)
	}
	if err := apply("/b", "two", client.ForceOwnership); err != nil {
		t.Error(err)
	}
	if err := apply("/b", "two"); err != nil {
		t.Errorf("second apply of the same: %v", err)
	}
}

func TestWatch(t *testing.T) {
	s := clitest.New(t, dataset("a", nil))
	c := connect(t, s)
	var list v1alpha1.DatasetList
	if err := c.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	// Changes between the list and the watch must not be lost.
	if err := s.Put(dataset("b", nil)); err != nil {
		t.Fatal(err)
	}
	watching, err := c.Watch(t.Context(), &v1alpha1.DatasetList{}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Stop()
	next := func(kind watch.EventType, name string) {
		t.Helper()
		select {
		case e := <-watching.ResultChan():
			if e.Type != kind || e.Object.(client.Object).GetName() != name {
				t.Fatalf("got %s %v", e.Type, e.Object)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no event %s %s", kind, name)
		}
	}
	next(watch.Added, "b")
	changed := dataset("a", map[string]string{"x": "y"})
	if err := s.Put(changed); err != nil {
		t.Fatal(err)
	}
	next(watch.Modified, "a")
	if err := s.Drop(changed); err != nil {
		t.Fatal(err)
	}
	next(watch.Deleted, "a")
}

func TestRefusals(t *testing.T) {
	s := clitest.New(t, dataset("a", nil))
	c := connect(t, s)
	s.Forbid(clitest.Match{Verb: "list", Resource: "datasets"})
	err := c.List(t.Context(), &v1alpha1.DatasetList{}, client.InNamespace("vision"))
	const want = `datasets.data.fluid.io is forbidden: User "alice" cannot list resource "datasets" in API group "data.fluid.io" in the namespace "vision"`
	if !apierrors.IsForbidden(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	s.ClearRules()
	s.Hang(clitest.Match{Verb: "get"})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Get(ctx, client.ObjectKey{Namespace: "vision", Name: "a"}, &v1alpha1.Dataset{}); err == nil {
		t.Error("Get returned, want it to hang")
	}
	if got := s.Requests(); len(got) != 2 || got[1].Verb != "get" || got[1].Resource != "datasets" || got[1].Name != "a" {
		t.Errorf("requests %+v", got)
	}
}

// TestProtobuf: clients send built-in kinds in protobuf unless told otherwise.
func TestProtobuf(t *testing.T) {
	s := clitest.New(t)
	c := connect(t, s)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "vision", GenerateName: "p-"}, Spec: corev1.PodSpec{NodeName: "n1"}}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	stored := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: pod.Name}}
	if found, err := s.Find(stored); err != nil || !found || stored.Spec.NodeName != "n1" || len(pod.Name) != len("p-xxxxx") {
		t.Errorf("pod %q is stored: %t, spec %+v, error %v", pod.Name, found, stored.Spec, err)
	}
}
