package manager

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/dataload"
	"github.com/jindo-io/jindo/pkg/kube/controller/dataset"
	"github.com/jindo-io/jindo/pkg/kube/controller/runtime"
	"github.com/jindo-io/jindo/pkg/kube/credentials"
	"github.com/jindo-io/jindo/pkg/kube/teardown"
	"github.com/jindo-io/jindo/pkg/plan"
)

// sweepRetryInterval is the time after which a failed sweep is retried.
const sweepRetryInterval = time.Minute

func setupDataset(mgr ctrl.Manager, o Options) error {
	r := &dataset.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(),
		Recorder: mgr.GetEventRecorder("dataset-controller"), SystemNamespace: o.Namespace,
	}
	if err := r.SetupWithManager(mgr); err != nil {
		return err
	}
	loads := &dataload.Reconciler{Client: mgr.GetClient()}
	return loads.SetupWithManager(mgr)
}

func setupRuntime(mgr ctrl.Manager, o Options) error {
	r := &runtime.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(),
		Recorder: mgr.GetEventRecorder("jindoruntime-controller"), SystemNamespace: o.Namespace,
		Image: o.Image, PriorityClass: o.PriorityClass, FusePriorityClass: o.FusePriorityClass, HostPaths: o.HostPaths,
	}
	deps := teardown.Deps{
		Client: r.Client, Live: r.Live, SystemNamespace: r.SystemNamespace, Image: r.Image, Recorder: r.Recorder,
		HostPaths: o.HostPaths,
	}
	r.Credentials, r.Teardown = syncCredentials(mgr), tearDown(deps)
	if err := r.SetupWithManager(mgr); err != nil {
		return err
	}
	return mgr.Add(&sweeper{deps: deps})
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

func tearDown(deps teardown.Deps) runtime.TeardownFunc {
	return func(ctx context.Context, rt *v1alpha1.JindoRuntime) (runtime.Teardown, error) {
		result, err := teardown.Runtime(ctx, deps, rt)
		return runtime.Teardown{
			Done: result.Done, Blocked: result.Blocked, Waiting: result.Waiting, RequeueAfter: result.RequeueAfter,
		}, err
	}
}

// sweeper removes the objects of runtimes that were deleted without the controllers.
// It runs once this process is the leader.
type sweeper struct{ deps teardown.Deps }

// Start implements manager.Runnable.
func (s *sweeper) Start(ctx context.Context) error {
	for {
		err := teardown.Sweep(ctx, s.deps)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		ctrl.Log.WithName("sweep").Error(err, "sweep failed, will retry")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sweepRetryInterval):
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (s *sweeper) NeedLeaderElection() bool { return true }
