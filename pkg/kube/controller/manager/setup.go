package manager

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/dataset"
	"github.com/jindo-io/jindo/pkg/kube/controller/runtime"
	"github.com/jindo-io/jindo/pkg/kube/credentials"
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
	return r.SetupWithManager(mgr)
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
