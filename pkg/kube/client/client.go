// Package client reads and writes objects of the Kubernetes API, typed or
// unstructured, without discovery and without caches.
//
// It is for programs that start often. The client of controller-runtime links
// informers, metrics and leader election, and registers every kind of Kubernetes a
// second time, which takes longer than a short command. The names of the methods and
// options are the same. Package ctrlreader adapts readers of controller-runtime.
package client

import (
	"context"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/apply"
)

// Object is an object of the API.
type Object interface {
	metav1.Object
	runtime.Object
}

// ObjectList is a list of objects of one kind.
type ObjectList interface {
	metav1.ListInterface
	runtime.Object
}

// ObjectKey identifies an object of a kind. Namespace is ignored for kinds without
// namespaces.
type ObjectKey = types.NamespacedName

// ObjectKeyFromObject returns the key of an object.
func ObjectKeyFromObject(o Object) ObjectKey {
	return ObjectKey{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// IgnoreNotFound returns nil if the object does not exist, and otherwise the error.
func IgnoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Reader reads objects. Methods are safe for concurrent use.
type Reader interface {
	// Get replaces into by the object of the key. The error satisfies
	// apierrors.IsNotFound if it does not exist.
	Get(ctx context.Context, key ObjectKey, into Object) error
	// List replaces into by the objects that the options select.
	List(ctx context.Context, into ObjectList, options ...ListOption) error
}

var _ Reader = (*Client)(nil)

// Get implements [Reader].
func (c *Client) Get(ctx context.Context, key ObjectKey, into Object) error {
	r, err := c.resourceOf(into)
	if err != nil {
		return err
	}
	defer keepKind(into)()
	return r.read(ctx, r.client.Get().NamespaceIfScoped(key.Namespace, r.namespaced).Resource(r.name).Name(key.Name), into)
}

// List implements [Reader].
func (c *Client) List(ctx context.Context, into ObjectList, options ...ListOption) error {
	r, err := c.resourceOf(into)
	if err != nil {
		return err
	}
	o := NewListOptions(options...)
	return r.read(ctx, r.client.Get().NamespaceIfScoped(o.Namespace, r.namespaced).Resource(r.name).
		VersionedParams(o.parameters(), queryCodec{}), into)
}

// Watch returns the changes from now on of the objects that the options select. The
// timeout of the configuration limits it.
func (c *Client) Watch(ctx context.Context, kind ObjectList, options ...ListOption) (watch.Interface, error) {
	r, err := c.resourceOf(kind)
	if err != nil {
		return nil, err
	}
	o := NewListOptions(options...)
	parameters := o.parameters()
	parameters.Watch = true
	return r.client.Get().NamespaceIfScoped(o.Namespace, r.namespaced).Resource(r.name).
		VersionedParams(parameters, queryCodec{}).Watch(ctx)
}

// Create creates an object, and replaces it by the created one.
func (c *Client) Create(ctx context.Context, o Object, options ...WriteOption) error {
	r, err := c.resourceOf(o)
	if err != nil {
		return err
	}
	how := newWriteOptions(options)
	defer keepKind(o)()
	return r.client.Post().NamespaceIfScoped(o.GetNamespace(), r.namespaced).Resource(r.name).
		Body(o).
		VersionedParams(&metav1.CreateOptions{DryRun: how.dryRun, FieldManager: how.manager}, queryCodec{}).
		Do(ctx).Into(o)
}

// MergePatch changes the stored object of before to changed by a merge patch, and
// replaces changed by the result. It fails with a conflict if the object was changed
// since before was read.
func (c *Client) MergePatch(ctx context.Context, before, changed Object, options ...WriteOption) error {
	r, err := c.resourceOf(changed)
	if err != nil {
		return err
	}
	patch, err := mergePatch(before, changed)
	if err != nil {
		return err
	}
	how := newWriteOptions(options)
	defer keepKind(changed)()
	return r.client.Patch(types.MergePatchType).NamespaceIfScoped(changed.GetNamespace(), r.namespaced).Resource(r.name).Name(changed.GetName()).
		VersionedParams(&metav1.PatchOptions{DryRun: how.dryRun, FieldManager: how.manager}, queryCodec{}).
		Body(patch).
		Do(ctx).Into(changed)
}

// mergePatch returns the patch from before to changed. It holds the resource version
// of before, so that the API server refuses it if that is not the stored one.
func mergePatch(before, changed Object) ([]byte, error) {
	version := before.GetResourceVersion()
	if version == "" {
		return nil, fmt.Errorf("patch %s: it has no resource version", before.GetName())
	}
	encode := func(o Object, version string) ([]byte, error) {
		o = o.DeepCopyObject().(Object) // a copy has the type of its original
		o.SetResourceVersion(version)
		raw, err := json.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", o.GetName(), err)
		}
		return raw, nil
	}
	from, err := encode(before, "")
	if err != nil {
		return nil, err
	}
	to, err := encode(changed, version)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.CreateMergePatch(from, to)
	if err != nil {
		return nil, fmt.Errorf("compare two versions of %s: %w", changed.GetName(), err)
	}
	return patch, nil
}

// Apply sends the fields of an object by server-side apply, and replaces it by the
// result.
func (c *Client) Apply(ctx context.Context, u *unstructured.Unstructured, options ...WriteOption) error {
	r, err := c.resourceOf(u)
	if err != nil {
		return err
	}
	request, err := apply.NewRequest(r.client, u)
	if err != nil {
		return fmt.Errorf("encode %s: %w", u.GetName(), err)
	}
	how := newWriteOptions(options)
	parameters := &metav1.PatchOptions{DryRun: how.dryRun, FieldManager: how.manager}
	if how.force {
		parameters.Force = &how.force
	}
	defer keepKind(u)()
	return request.NamespaceIfScoped(u.GetNamespace(), r.namespaced).Resource(r.name).Name(u.GetName()).
		VersionedParams(parameters, queryCodec{}).
		Do(ctx).Into(u)
}

// Delete deletes an object.
func (c *Client) Delete(ctx context.Context, o Object, options ...WriteOption) error {
	r, err := c.resourceOf(o)
	if err != nil {
		return err
	}
	how := newWriteOptions(options)
	parameters := &metav1.DeleteOptions{DryRun: how.dryRun, PropagationPolicy: how.propagation}
	if how.uid != nil {
		parameters.Preconditions = &metav1.Preconditions{UID: how.uid}
	}
	return r.client.Delete().NamespaceIfScoped(o.GetNamespace(), r.namespaced).Resource(r.name).Name(o.GetName()).
		Body(parameters).Do(ctx).Error()
}

// keepKind returns a function that restores the kind that an object has now. The
// decoder clears it in typed objects, and an error may clear it in others.
func keepKind(o Object) (restore func()) {
	kind := o.GetObjectKind().GroupVersionKind()
	return func() {
		if !kind.Empty() {
			o.GetObjectKind().SetGroupVersionKind(kind)
		}
	}
}
