package runtime_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/kube/controller/runtime"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/topology"
)

// errStopped is the error of every request of a controller that was stopped.
var errStopped = errors.New("the controller was stopped")

// life is one process of the controller of a test's own runtimes. It is stopped after a
// number of steps, which are the writes of the status, the deletions of pods and the
// transfers of leadership: every request after that fails.
type life struct {
	*runtime.Reconciler
	left atomic.Int64
	// steps are the steps that were taken.
	steps int
}

// live starts a controller that is stopped after a number of steps. before is called
// before a pod is deleted.
func (c *cluster) live(t *testing.T, steps int, before func(pod client.Object)) *life {
	t.Helper()
	l := &life{}
	l.left.Store(int64(steps))
	step := func() error {
		if l.left.Add(-1) < 0 {
			return errStopped
		}
		l.steps++
		return nil
	}
	alive := func() error {
		if l.left.Load() <= 0 {
			return errStopped
		}
		return nil
	}
	stopped := interceptor.NewClient(withoutWatch{c.Client}, interceptor.Funcs{
		Get: func(ctx context.Context, in client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			return errors.Join(alive(), in.Get(ctx, key, o, opts...))
		},
		Delete: func(ctx context.Context, in client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if err := step(); err != nil {
				return err
			}
			before(o)
			return in.Delete(ctx, o, opts...)
		},
		SubResourceUpdate: func(ctx context.Context, in client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			if err := step(); err != nil {
				return err
			}
			return in.SubResource(sub).Update(ctx, o, opts...)
		},
	})
	l.Reconciler = &runtime.Reconciler{
		Client: stopped, Live: c.Client, Recorder: events.NewFakeRecorder(1000), SystemNamespace: system, Image: image,
		Dial: func(members topology.Topology, identity *mtls.Identity) (runtime.Masters, error) {
			masters, err := c.masters.dial(members, identity)
			return stoppableMasters{masters, step}, err
		},
		Credentials: c.credentials, Teardown: c.teardown,
	}
	l.Complete()
	return l
}

// stoppableMasters counts transfers of leadership as steps.
type stoppableMasters struct {
	runtime.Masters
	step func() error
}

func (m stoppableMasters) Transfer(ctx context.Context, to string) (string, error) {
	if err := m.step(); err != nil {
		return "", err
	}
	return m.Masters.Transfer(ctx, to)
}

// pass runs one pass, and reports whether the controller was stopped.
func (l *life) pass(t *testing.T, namespace, name string) (stopped bool) {
	t.Helper()
	_, err := l.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}})
	if err != nil && !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	return err != nil
}
