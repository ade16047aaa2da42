package runtime

import (
	"context"
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// subReconcilers are the parts of a pass. Each has its own file, which declares its
// inputs and outputs; none reads what another one has not returned.
type subReconcilers struct {
	scopes       *scopeNames
	declarations declarations
	effective    effectiveSpecs
	formations   formations
	secrets      secrets
	directories  directories
	placements   placements
	drains       drains
	objects      objects
	workloads    workloadReader
	former       formerMasters
	nodes        nodeLabels
	scheduling   scheduling
	masters      masterReader
	mounts       mounts
	refreshes    credentialRefreshes
	rollouts     rollouts
	fallbacks    fallbacks
	status       statusWriter
}

func (r *Reconciler) subReconcilers() subReconcilers {
	workloads, fallbacks := workloadReader{r.Client}, fallbacks{r.Image}
	return subReconcilers{
		scopes:       &scopeNames{client: r.Client, live: r.Live, recorder: r.Recorder},
		declarations: declarations{r.Client, r.Image},
		effective:    effectiveSpecs{live: r.Live, takeover: takeover{r.Client, r.HostPaths}},
		formations:   formations{r.Live, r.authorities, r.connections},
		secrets:      secrets{r.authorities, r.Credentials},
		directories:  directories{r.Live, r.HostPaths},
		placements:   placements{r.Client, r.Live},
		drains:       drains{workloads, r.connections, r.Drain},
		objects: objects{
			client: r.Client, workloads: workloads, fallbacks: fallbacks, applied: r.applied, image: r.Image,
			priorityClass: r.PriorityClass, fusePriorityClass: r.FusePriorityClass, hostPaths: r.HostPaths, systemNamespace: r.SystemNamespace,
		},
		workloads:  workloads,
		former:     formerMasters{r.Client},
		nodes:      nodeLabels{r.Client},
		scheduling: scheduling{r.Live},
		masters:    masterReader{r.connections},
		mounts:     mounts{r.Live},
		refreshes:  credentialRefreshes{r.Client, r.refreshed},
		rollouts:   rollouts{r.Client, fallbacks},
		fallbacks:  fallbacks,
		status:     statusWriter{r.usageUpdates, r.Image},
	}
}

// pass carries out the effective spec of a runtime, observes the result, and plans the
// next effective spec. After an error in applying objects it still observes the state
// and sets the status.
func (r *Reconciler) pass(ctx context.Context, rep *report) error {
	if err := r.parts.scopes.reconcile(ctx, rep); err != nil {
		rep.setFailed(err)
		return err
	}
	rep.status.ObservedGeneration = rep.runtime.Generation
	declared, want, err := r.desired(ctx, rep)
	if err != nil || want == nil {
		rep.setFailed(err)
		return err
	}
	err = r.carryOut(ctx, rep, declared, want)
	rep.setFailed(err)
	return err
}

// desired returns what users have declared and what to carry out, which is in the saved
// status. It is nil if the pass cannot continue.
func (r *Reconciler) desired(ctx context.Context, rep *report) (declaration, *desired, error) {
	declared, err := r.parts.declarations.reconcile(ctx, rep)
	if err != nil {
		return declared, nil, err
	}
	want, err := r.parts.effective.current(ctx, rep, declared)
	if err != nil {
		return declared, nil, err
	}
	if want == nil {
		if !declared.valid {
			rep.setCondition(v1alpha1.RuntimeReady, false, reasonInvalid, "the spec is invalid: see condition SpecValid")
			rep.requeueAfter = 0
		}
		return declared, nil, nil
	}
	if formed, err := r.parts.formations.reconcile(ctx, rep, want); err != nil || !formed {
		return declared, nil, err
	}
	want.scope = names.ScopeOf(rep.runtime.Namespace, rep.runtime.Name, rep.status.ScopeName)
	want.topology = want.topologyOf(rep.status.Formation.ClusterID)
	rep.status.Images, rep.status.ValueFileConfigmap = want.effective.Images.DeepCopy(), names.Config(rep.runtime.Name)
	before := rep.runtime.Status
	if equality.Semantic.DeepEqual(before.Effective, rep.status.Effective) && equality.Semantic.DeepEqual(before.Formation, rep.status.Formation) {
		return declared, want, nil
	}
	return declared, want, rep.save(ctx, r.Client, r.Recorder)
}

// carryOut carries out the effective spec.
func (r *Reconciler) carryOut(ctx context.Context, rep *report, declared declaration, want *desired) error {
	parts := &r.parts
	authority, err := parts.secrets.reconcile(ctx, rep, want, declared)
	if err != nil {
		return err
	}
	refused, err := parts.directories.reconcile(ctx, want)
	if err != nil {
		return err
	}
	placement, err := parts.placements.reconcile(ctx, want, refused)
	if err != nil {
		return err
	}
	var leaving drained
	if !refused.any() {
		if leaving, err = parts.drains.reconcile(ctx, rep, want, authority); err != nil {
			return err
		}
	}
	applied, failed := parts.objects.reconcile(ctx, rep, want, authority.CertPEM(), placement, &refused, leaving)
	workloads, err := parts.workloads.reconcile(ctx, want)
	if err == nil {
		err = parts.former.reconcile(ctx, want, workloads)
	}
	if err == nil {
		err = parts.nodes.reconcile(ctx, rep, want, workloads, placement, refused)
	}
	if err == nil {
		err = parts.scheduling.reconcile(ctx, rep, want, workloads, placement, refused)
	}
	if err != nil {
		return errors.Join(failed, err)
	}
	masters, err := parts.masters.reconcile(ctx, rep, want, authority, workloads)
	failed = errors.Join(failed, err)
	waiting := parts.mounts.reconcile(ctx, rep, want, masters)
	parts.status.reconcile(rep, want, workloads, masters)
	reportSnapshots(rep, want, masters)
	parts.refreshes.reconcile(ctx, rep, want, workloads, masters)
	if failed == nil {
		failed = parts.rollouts.reconcile(ctx, rep, want, applied, workloads, masters)
	}
	if err := parts.effective.advance(ctx, rep, declared, want, workloads, masters, waiting); err != nil {
		return errors.Join(failed, err)
	}
	parts.fallbacks.record(rep, want, applied, workloads)
	return failed
}

func errorMessage(err error) string { return strings.TrimSpace(err.Error()) }

// joinMessages joins the distinct messages.
func joinMessages(messages []string) string {
	var distinct []string
	seen := map[string]bool{}
	for _, m := range messages {
		if !seen[m] {
			distinct = append(distinct, m)
		}
		seen[m] = true
	}
	return strings.Join(distinct, "; ")
}
