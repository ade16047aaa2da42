package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/topology"
)

// effectiveSpecs records what the components of a runtime run with.
//
// Invariant: an effective spec is in the status before anything is derived from it, and
// everything that a pass changes is derived from the one that was in the status when the
// pass began. So a controller that is stopped at any point continues with the same one.
type effectiveSpecs struct {
	live     client.Reader
	takeover takeover
}

// desired is what a pass carries out. It is derived from the effective spec only.
type desired struct {
	effective *v1alpha1.EffectiveSpec
	// runtime has the metadata of the runtime and the effective spec.
	runtime *v1alpha1.JindoRuntime
	// dataset is nil if the runtime serves none.
	dataset  *v1alpha1.Dataset
	plan     *plan.Plan
	scope    names.Scope
	topology topology.Topology
}

// current returns what the pass carries out. For a runtime without an effective spec it
// sets the first one in the status, which must be saved before it is carried out.
// It returns nil if there is nothing to carry out yet.
func (e effectiveSpecs) current(ctx context.Context, r *report, declared declaration) (*desired, error) {
	if r.status.Effective == nil {
		if !declared.valid || e.awaitsDataset(r, declared) {
			return nil, nil
		}
		first, err := e.first(ctx, r, declared)
		if err != nil {
			return nil, err
		}
		r.status.Effective, r.status.Fallbacks, r.status.Reverted = first, nil, nil
	}
	want, err := restore(r.status.Effective, r.runtime)
	if errors.Is(err, plan.ErrNewer) {
		return nil, fmt.Errorf("%w: nothing is changed, upgrade the controllers", err)
	}
	if err != nil {
		return nil, fmt.Errorf("status.effective is not valid: nothing is changed until it is restored from a backup of the JindoRuntime: %w", err)
	}
	return want, nil
}

// restore derives from an effective spec what to carry out, and validates it.
func restore(effective *v1alpha1.EffectiveSpec, of *v1alpha1.JindoRuntime) (*desired, error) {
	runtime, dataset, err := plan.Restore(effective, of)
	if err != nil {
		return nil, err
	}
	v1alpha1.SetDefaults(runtime)
	if dataset != nil {
		v1alpha1.SetDefaults(dataset)
	}
	built, err := plan.Build(dataset, runtime)
	if err == nil {
		err = built.ListMasters(effective.ListedMasters)
	}
	if err != nil {
		return nil, err
	}
	built.UseCredentials(effective.Dataset)
	return &desired{effective: effective, runtime: runtime, dataset: dataset, plan: built}, nil
}

// awaitsDataset reports whether to wait for the Dataset. Dataset and runtime are often
// created together. With the Dataset, the first pod templates are already the final ones.
func (e effectiveSpecs) awaitsDataset(r *report, declared declaration) bool {
	if declared.Dataset != nil || declared.DatasetInvalid || r.age() >= startupInterval || r.status.Formation != nil {
		return false
	}
	r.requeueAfter = time.Second
	return true
}

// first returns the first effective spec of a runtime: what an earlier version of the
// controller has carried out, or else what is declared.
func (e effectiveSpecs) first(ctx context.Context, r *report, declared declaration) (*v1alpha1.EffectiveSpec, error) {
	first, _, err := plan.Next(nil, declared.Declared, plan.Progress{})
	if err != nil {
		return nil, err
	}
	return first, e.takeover.apply(ctx, r, first)
}

// advance sets the next effective spec in the status, and the condition about declared
// changes that it does not contain. The next pass carries it out. waiting are messages
// about mounts that are not as in the current one yet.
func (e effectiveSpecs) advance(ctx context.Context, r *report, declared declaration, want *desired, w *workloads, m *masterState, waiting []string) error {
	if !declared.valid {
		return nil // the current one remains
	}
	states := m.mountHealth()
	next, kept, err := plan.Next(want.effective, declared.Declared, plan.Progress{
		Started:  w.exist() || r.status.Formation != nil && r.status.Formation.Formed,
		Masters:  mastersProgress(r, want, m),
		Mounted:  r.status.MountTime != nil,
		Worked:   func(path string) bool { return worked(states, path) },
		Users:    func(dataset string) (string, error) { return usersOf(ctx, e.live, r.runtime.Namespace, dataset) },
		RefInUse: m.refInUse,
	})
	if err != nil {
		return err
	}
	if r.status.MountTime != nil { // Otherwise MountsReady has the messages.
		kept = append(kept, waiting...)
	}
	r.setProblem(v1alpha1.RuntimeChangeNotApplied, reasonSpecEdited, joinMessages(kept))
	if next == want.effective {
		return nil
	}
	if _, err := restore(next, r.runtime); err != nil {
		return fmt.Errorf("plan revision %d of the effective spec: %w", next.Revision, err)
	}
	r.status.Effective = next
	r.requeueAfter = immediately
	return nil
}

// usersOf returns a message that names the pods that mount the claim of a Dataset; "" if
// none does.
func usersOf(ctx context.Context, live client.Reader, namespace, dataset string) (string, error) {
	users, err := datasetvolume.Users(ctx, live, namespace, dataset)
	if err != nil || len(users) == 0 {
		return "", err
	}
	return health.PodsMount(users) + " its PersistentVolumeClaim", nil
}

// topologyOf returns the topology of the desired masters and workers.
func (d *desired) topologyOf(clusterID string) topology.Topology {
	return render.Topology(d.plan, clusterID)
}
