package runtime_test

import (
	"context"
	"errors"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// counts are the numbers of writes and passes of the controller, by namespace.
type counts struct {
	mu     sync.Mutex
	writes map[string]int
	passes map[string]int
	// manual are the namespaces whose runtimes the shared controller does not find,
	// because a test runs its own.
	manual map[string]bool
}

func (c *counts) setManual(namespace string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.manual[namespace] = true
}

func (c *counts) isManual(namespace string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.manual[namespace]
}

func (c *counts) of(namespace string) (writes, passes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes[namespace], c.passes[namespace]
}

// watched returns a client that counts the writes of the controller, and its passes
// by the reads of the runtime at their start.
func (c *counts) watched(inner client.WithWatch) client.Client {
	add := func(to map[string]int, namespace string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		to[namespace]++
	}
	return interceptor.NewClient(inner, interceptor.Funcs{
		Get: func(ctx context.Context, in client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, ok := o.(*v1alpha1.JindoRuntime); ok {
				add(c.passes, key.Namespace)
				if c.isManual(key.Namespace) {
					return apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.Group, Resource: "jindoruntimes"}, key.Name)
				}
			}
			return in.Get(ctx, key, o, opts...)
		},
		Create: func(ctx context.Context, in client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			add(c.writes, o.GetNamespace())
			return in.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, in client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			add(c.writes, o.GetNamespace())
			return in.Update(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, in client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			add(c.writes, o.GetNamespace())
			return in.Patch(ctx, o, p, opts...)
		},
		Apply: func(ctx context.Context, in client.WithWatch, o kruntime.ApplyConfiguration, opts ...client.ApplyOption) error {
			if named, ok := o.(interface{ GetNamespace() string }); ok {
				add(c.writes, named.GetNamespace())
			}
			return in.Apply(ctx, o, opts...)
		},
		SubResourceUpdate: func(ctx context.Context, in client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			add(c.writes, o.GetNamespace())
			return in.SubResource(sub).Update(ctx, o, opts...)
		},
	})
}

// withoutWatch adapts a manager's client to client.WithWatch.
type withoutWatch struct{ client.Client }

func (withoutWatch) Watch(context.Context, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
	return nil, errors.New("watch is not supported")
}
