package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

// recorder records requests, and refuses all.
type recorder struct {
	mu       sync.Mutex
	requests []string
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	query := strings.Split(request.URL.RawQuery, "&")
	slices.Sort(query)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, fmt.Sprintf("%s %s?%s\n%s, accepts %s\n%q", request.Method, request.URL.Path, strings.Join(query, "&"),
		request.Header.Get("Content-Type"), request.Header.Get("Accept"), body))
	http.Error(w, "refused", http.StatusForbidden)
}

func (r *recorder) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.requests) == 0 {
		return ""
	}
	return r.requests[len(r.requests)-1]
}

func dataset(version string) *v1alpha1.Dataset {
	return &v1alpha1.Dataset{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.DatasetKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: "imagenet", ResourceVersion: version},
	}
}

func untyped(version, value string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"a": value, "list": []any{"<&>", int64(1)}}}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(v1alpha1.JindoRuntimeKind))
	u.SetNamespace("vision")
	u.SetName("imagenet")
	u.SetResourceVersion(version)
	return u
}

// TestRequests checks that each method sends the same request as the method of
// controller-runtime's client.
func TestRequests(t *testing.T) {
	server := &recorder{}
	listener := httptest.NewServer(server)
	defer listener.Close()
	scheme, err := session.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	config, mapper := &rest.Config{Host: listener.URL}, session.Mapper(scheme)
	ours, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ctrl.NewWithWatch(config, ctrl.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	pod := func() *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: "p"}, Spec: corev1.PodSpec{NodeName: "n"}}
	}
	untypedList := func() *unstructured.UnstructuredList {
		u := &unstructured.UnstructuredList{}
		u.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind("DatasetList"))
		return u
	}
	crd := func() *unstructured.Unstructured {
		u := &unstructured.Unstructured{}
		u.SetAPIVersion("apiextensions.k8s.io/v1")
		u.SetKind("CustomResourceDefinition")
		return u
	}
	key, uid := client.ObjectKey{Namespace: "vision", Name: "imagenet"}, types.UID("u-1")
	selector, err := labels.Parse("a in (b,c),!d")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ours, theirs func(ctx context.Context) error
	}{
		"get": {
			func(ctx context.Context) error { return ours.Get(ctx, key, &v1alpha1.Dataset{}) },
			func(ctx context.Context) error { return theirs.Get(ctx, key, &v1alpha1.Dataset{}) },
		},
		"get of a built-in kind": {
			func(ctx context.Context) error { return ours.Get(ctx, key, &corev1.Secret{}) },
			func(ctx context.Context) error { return theirs.Get(ctx, key, &corev1.Secret{}) },
		},
		"get without namespaces": {
			func(ctx context.Context) error { return ours.Get(ctx, key, &corev1.Node{}) },
			func(ctx context.Context) error { return theirs.Get(ctx, key, &corev1.Node{}) },
		},
		"get unstructured": {
			func(ctx context.Context) error { return ours.Get(ctx, key, crd()) },
			func(ctx context.Context) error { return theirs.Get(ctx, key, crd()) },
		},
		"list": {
			func(ctx context.Context) error { return ours.List(ctx, &v1alpha1.DatasetList{}) },
			func(ctx context.Context) error { return theirs.List(ctx, &v1alpha1.DatasetList{}) },
		},
		"list by labels": {func(ctx context.Context) error {
			return ours.List(ctx, &corev1.PodList{}, client.InNamespace("vision"), client.MatchingLabels{"b": "c", "a": "b"})
		}, func(ctx context.Context) error {
			return theirs.List(ctx, &corev1.PodList{}, ctrl.InNamespace("vision"), ctrl.MatchingLabels{"b": "c", "a": "b"})
		}},
		"list unstructured": {func(ctx context.Context) error {
			return ours.List(ctx, untypedList(), client.InNamespace("vision"), client.MatchingLabelsSelector{Selector: selector})
		}, func(ctx context.Context) error {
			return theirs.List(ctx, untypedList(), ctrl.InNamespace("vision"), ctrl.MatchingLabelsSelector{Selector: selector})
		}},
		"watch": {func(ctx context.Context) error {
			_, err := ours.Watch(ctx, &corev1.PodList{}, client.InNamespace("vision"))
			return err
		}, func(ctx context.Context) error {
			_, err := theirs.Watch(ctx, &corev1.PodList{}, ctrl.InNamespace("vision"))
			return err
		}},
		"create": {
			func(ctx context.Context) error { return ours.Create(ctx, pod(), client.DryRunAll) },
			func(ctx context.Context) error { return theirs.Create(ctx, pod(), ctrl.DryRunAll) },
		},
		"create unstructured": {
			func(ctx context.Context) error { return ours.Create(ctx, untyped("", "x"), client.FieldOwner("m")) },
			func(ctx context.Context) error { return theirs.Create(ctx, untyped("", "x"), ctrl.FieldOwner("m")) },
		},
		"apply": {
			func(ctx context.Context) error { return ours.Apply(ctx, untyped("", "x"), client.FieldOwner("m")) },
			func(ctx context.Context) error {
				return theirs.Apply(ctx, ctrl.ApplyConfigurationFromUnstructured(untyped("", "x")), ctrl.FieldOwner("m"))
			},
		},
		"apply by force": {func(ctx context.Context) error {
			return ours.Apply(ctx, untyped("", "x"), client.FieldOwner("m"), client.DryRunAll, client.ForceOwnership)
		}, func(ctx context.Context) error {
			return theirs.Apply(ctx, ctrl.ApplyConfigurationFromUnstructured(untyped("", "x")), ctrl.FieldOwner("m"), ctrl.DryRunAll, ctrl.ForceOwnership)
		}},
		"merge patch": {func(ctx context.Context) error {
			return ours.MergePatch(ctx, untyped("7", "x"), untyped("8", "y"), client.FieldOwner("m"), client.DryRunAll)
		}, func(ctx context.Context) error {
			return theirs.Patch(ctx, untyped("8", "y"), ctrl.MergeFromWithOptions(untyped("7", "x"), ctrl.MergeFromWithOptimisticLock{}), ctrl.FieldOwner("m"), ctrl.DryRunAll)
		}},
		"delete": {func(ctx context.Context) error {
			return ours.Delete(ctx, dataset("1"), client.OnlyUID(uid), client.PropagationPolicy(metav1.DeletePropagationBackground), client.DryRunAll)
		}, func(ctx context.Context) error {
			return theirs.Delete(ctx, dataset("1"), ctrl.Preconditions{UID: &uid}, ctrl.PropagationPolicy(metav1.DeletePropagationBackground), ctrl.DryRunAll)
		}},
		"delete of a built-in kind": {
			func(ctx context.Context) error { return ours.Delete(ctx, pod()) },
			func(ctx context.Context) error { return theirs.Delete(ctx, pod()) },
		},
		"delete unstructured": {
			func(ctx context.Context) error { return ours.Delete(ctx, untyped("1", "x"), client.OnlyUID(uid)) },
			func(ctx context.Context) error {
				return theirs.Delete(ctx, untyped("1", "x"), ctrl.Preconditions{UID: &uid})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := test.theirs(t.Context())
			wanted := server.last()
			got := test.ours(t.Context())
			if sent := server.last(); sent != wanted || len(server.requests)%2 != 0 {
				t.Errorf("sent\n%s\nwant\n%s", sent, wanted)
			}
			if want == nil || got == nil || got.Error() != want.Error() {
				t.Errorf("the error is %v, want %v", got, want)
			}
		})
	}
}

// respond returns a client of a server that returns the same response to all
// requests.
func respond(t *testing.T, kind, body string) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	scheme, err := session.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(&rest.Config{Host: server.URL}, client.Options{Scheme: scheme, Mapper: session.Mapper(scheme)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestResponsesReplace checks that no field of an object or list survives that the
// response does not have, and that errors leave the object as it is.
func TestResponsesReplace(t *testing.T) {
	c := respond(t, "application/json", `{"apiVersion":"data.fluid.io/v1alpha1","kind":"Dataset","metadata":{"name":"imagenet","namespace":"vision"}}`)
	d := dataset("1")
	d.Finalizers, d.Labels = []string{"f"}, map[string]string{"a": "b"}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(d), d); err != nil || len(d.Finalizers)+len(d.Labels) != 0 || d.ResourceVersion != "" {
		t.Errorf("got %+v, %v", d.ObjectMeta, err)
	}
	if d.Kind != v1alpha1.DatasetKind {
		t.Errorf("the kind is %q", d.Kind)
	}
	u := untyped("1", "x")
	u.SetKind(v1alpha1.DatasetKind)
	if err := c.Create(t.Context(), u); err != nil || u.Object["spec"] != nil {
		t.Errorf("got %v, %v", u.Object, err)
	}
	c = respond(t, "application/json", `{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[{"metadata":{"name":"new"}}]}`)
	pods := &corev1.PodList{Items: make([]corev1.Pod, 3)}
	if err := c.List(t.Context(), pods); err != nil || len(pods.Items) != 1 || pods.Items[0].Name != "new" {
		t.Errorf("got %+v, %v", pods.Items, err)
	}
	for _, damaged := range []string{"", "{", `{"apiVersion":"v1","kind":"Pod"`, `[]`, `{"apiVersion":"x/v9","kind":"Odd"}`, "\x00\xff"} {
		c := respond(t, "application/json", damaged)
		if err := c.Get(t.Context(), client.ObjectKey{Name: "x"}, untyped("", "x")); err == nil && damaged != `{"apiVersion":"x/v9","kind":"Odd"}` {
			t.Errorf("%q is no object, and no error was returned", damaged)
		}
		if err := c.List(t.Context(), &corev1.PodList{}); err == nil {
			t.Errorf("%q is no list, and no error was returned", damaged)
		}
	}
}

// TestMetadata checks that the metadata alone of objects and lists is requested and
// kept.
func TestMetadata(t *testing.T) {
	var accepted string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/configmaps") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"not allowed","code":403}`)
			return
		}
		accepted = r.URL.Path + " " + r.Header.Get("Accept")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, map[bool]string{
			true:  `{"kind":"SecretList","items":[{"metadata":{"name":"a"},"data":{"k":"dg=="}}]}`,
			false: `{"kind":"PartialObjectMetadata","metadata":{"name":"a"}}`,
		}[strings.HasSuffix(r.URL.Path, "/secrets")])
	}))
	defer server.Close()
	scheme, err := session.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(&rest.Config{Host: server.URL}, client.Options{Scheme: scheme, Mapper: session.Mapper(scheme)})
	if err != nil {
		t.Fatal(err)
	}
	list := &metav1.PartialObjectMetadataList{Items: make([]metav1.PartialObjectMetadata, 2)}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	if err := c.List(t.Context(), list, client.InNamespace("vision")); err != nil || len(list.Items) != 1 || list.Items[0].Name != "a" || list.Kind != "SecretList" {
		t.Errorf("got %+v, %v", list, err)
	}
	if want := "/api/v1/namespaces/vision/secrets application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"; accepted != want {
		t.Errorf("requested %s", accepted)
	}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := c.List(t.Context(), list); !apierrors.IsForbidden(err) || err.Error() != "not allowed" {
		t.Errorf("got %v, want what the server refused", err)
	}
	one := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"stale": "x"}}}
	one.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "vision", Name: "a"}, one); err != nil || one.Name != "a" || one.Labels != nil || one.Kind != "Secret" {
		t.Errorf("got %+v, %v", one, err)
	}
	if want := "/api/v1/namespaces/vision/secrets/a application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"; accepted != want {
		t.Errorf("requested %s", accepted)
	}
}

// TestUnknownKinds checks that an object of a kind that is not registered or not
// mapped is an error and sends nothing.
func TestUnknownKinds(t *testing.T) {
	c := respond(t, "application/json", "{}")
	u := untyped("", "x")
	u.SetKind("Odd")
	if err := c.Get(t.Context(), client.ObjectKey{Name: "x"}, u); err == nil {
		t.Error("a kind without a mapping was read")
	}
	if err := c.Get(t.Context(), client.ObjectKey{Name: "x"}, &unstructured.Unstructured{}); err == nil {
		t.Error("an object without a kind was read")
	}
	if err := c.MergePatch(t.Context(), untyped("", "x"), untyped("", "y")); err == nil {
		t.Error("an object that was never stored was patched")
	}
}
