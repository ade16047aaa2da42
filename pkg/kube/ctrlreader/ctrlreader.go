// Package ctrlreader adapts readers of controller-runtime, such as caches, to the
// interface that the rules shared with the command line read from.
package ctrlreader

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/client"
)

type reader struct{ ctrl.Reader }

// New returns a reader that reads from r.
func New(r ctrl.Reader) client.Reader { return reader{r} }

// Get implements [client.Reader].
func (r reader) Get(ctx context.Context, key client.ObjectKey, into client.Object) error {
	return r.Reader.Get(ctx, key, into)
}

// List implements [client.Reader].
func (r reader) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	o := client.NewListOptions(options...)
	return r.Reader.List(ctx, into, &ctrl.ListOptions{Namespace: o.Namespace, LabelSelector: o.Labels})
}
