package manager

import (
	"context"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/dataset"
	"github.com/jindo-io/jindo/pkg/kube/controller/runtime"
	"github.com/jindo-io/jindo/pkg/kube/credentials"
	"github.com/jindo-io/jindo/pkg/kube/teardown"
	"github.com/jindo-io/jindo/pkg/plan"
)

func setupDataset(_ context.Context, mgr ctrl.Manager, o Options) error {
	r := &dataset.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(),
		Recorder: mgr.GetEventRecorder("dataset-controller"), SystemNamespace: o.Namespace,
	}
	return r.SetupWithManager(mgr)
}

func setupRuntime(_ context.Context, mgr ctrl.Manager, o Options) error {
	r := &runtime.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(),
		Recorder: mgr.GetEventRecorder("jindoruntime-controller"), SystemNamespace: o.Namespace,
		Image: o.Image, FusePriorityClass: o.FusePriorityClass,
		Credentials: syncCredentials(mgr),
	}
	deps := teardown.Deps{
		Client: r.Client, Live: r.Live, SystemNamespace: o.Namespace, Image: o.Image, Recorder: r.Recorder,
	}
	r.Teardown = tearDown(deps)
	if err := mgr.Add(sweep(deps)); err != nil {
		return fmt.Errorf("adding the sweep: %w", err)
	}
	return r.SetupWithManager(mgr)
}

func tearDown(deps teardown.Deps) runtime.TeardownFunc {
	return func(ctx context.Context, rt *v1alpha1.JindoRuntime) (runtime.Teardown, error) {
		result, err := teardown.Runtime(ctx, deps, rt)
		if result.Waiting != "" {
			ctrl.LoggerFrom(ctx).Info("deletion goes on", "step", result.Waiting)
		}
		return runtime.Teardown{Done: result.Done, Blocked: result.Blocked, Again: result.Again}, err
	}
}

// sweep runs once where the controller leads. What it cannot do now it does at
// the next start.
func sweep(deps teardown.Deps) manager.Runnable {
	return manager.RunnableFunc(func(ctx context.Context) error {
		if err := teardown.Sweep(ctx, deps); err != nil && ctx.Err() == nil {
			ctrl.Log.Error(err, "some of what runtimes left is still there")
		}
		return nil
	})
}

func syncCredentials(mgr ctrl.Manager) runtime.CredentialsSync {
	return func(ctx context.Context, owner *v1alpha1.JindoRuntime, p *plan.Plan) ([]runtime.Problem, error) {
		result, err := credentials.Sync(ctx, mgr.GetClient(), mgr.GetAPIReader(), owner, p)
		if err != nil {
			return nil, err
		}
		problems := make([]runtime.Problem, len(result.Problems))
		for i, problem := range result.Problems {
			problems[i] = runtime.Problem{Mount: problem.Mount, Message: problem.Message}
		}
		return problems, nil
	}
}
