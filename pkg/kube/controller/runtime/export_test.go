package runtime

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Complete sets the defaults of r, for tests that run passes without a manager.
func (r *Reconciler) Complete() { r.complete() }

// SetupOnWatches registers a controller that does not repeat passes by time, so that
// each is caused by a watch, except the immediate next one, one after a conflict, and the
// first ones of a new runtime, which wait for its Dataset.
func (r *Reconciler) SetupOnWatches(mgr ctrl.Manager, name string) error {
	return r.setup(mgr, name, onWatches{r})
}

type onWatches struct{ *Reconciler }

func (w onWatches) Reconcile(ctx context.Context, request ctrl.Request) (reconcile.Result, error) {
	result, err := w.Reconciler.Reconcile(ctx, request)
	if result.RequeueAfter > time.Second {
		result.RequeueAfter = 0
	}
	return result, err
}

// StartupInterval is the time between passes that wait for what has no watch.
const StartupInterval = startupInterval
