package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/notes"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// mounts creates the mounts of the desired state at the masters, and removes others that
// this controller created. Mounts that users created manually remain.
//
// Input: the desired state and the masters. Output: status.mounts, status.mountTime, the
// condition MountsReady, and a message for each mount that is in use and differs.
type mounts struct{}

func (c mounts) reconcile(ctx context.Context, r *report, want *desired, m *masterState) []string {
	var inUse []string
	if m.masters != nil && m.leader != nil && m.failed == nil {
		ctx, cancel := context.WithTimeout(ctx, queryTimeout)
		defer cancel()
		inUse, m.failed = c.mount(ctx, r, want, m)
	}
	c.setStatus(r, want, m)
	return inUse
}

// mount makes the mounts of the masters those of the plan. The effective spec changes
// only mounts that have never worked. Others may differ nevertheless: those of a
// runtime of an earlier version, or that users changed manually; they may be in use and
// remain.
func (c mounts) mount(ctx context.Context, r *report, want *desired, m *masterState) (inUse []string, err error) {
	changed, err := c.unmount(ctx, r, want, m)
	if err != nil {
		return nil, err
	}
	states := m.mountHealth()
	for _, next := range want.plan.Mounts {
		existing := mountAt(m.view, next.Path)
		if existing != nil && sameMount(existing, next.Proto()) {
			continue
		}
		if existing != nil && r.status.MountTime != nil && worked(states, next.Path) {
			inUse = append(inUse, fmt.Sprintf("mount %s of the Dataset remains %s with its previous options: changing mounts of a bound runtime is not supported yet", next.Name, existing.GetUri()))
			continue
		}
		if existing != nil && existing.GetUri() != next.URI {
			// A mount of another store is a new mount with its own cache.
			if err := m.masters.Unmount(ctx, next.Path); err != nil && !notFound(err) {
				return inUse, fmt.Errorf("unmount %s: %w", next.Path, err)
			}
		}
		if _, _, err := m.masters.Mount(ctx, next.Proto()); err != nil {
			return inUse, fmt.Errorf("mount %s at %s: %w", next.URI, next.Path, err)
		}
		changed = true
	}
	if changed {
		view, err := m.masters.View(ctx)
		if err != nil {
			return inUse, err
		}
		m.view = view
	}
	if r.status.MountTime == nil && len(want.plan.Mounts) > 0 {
		at := r.now
		r.status.MountTime = &at
	}
	return inUse, nil
}

// unmount removes the mounts that this controller created and that the plan no longer
// has, and reports whether there were any.
func (mounts) unmount(ctx context.Context, r *report, want *desired, m *masterState) (changed bool, err error) {
	for _, existing := range r.status.Mounts {
		wanted := slices.ContainsFunc(want.plan.Mounts, func(next plan.Mount) bool { return next.Path == existing.Path })
		if wanted || mountAt(m.view, existing.Path) == nil {
			continue
		}
		if err := m.masters.Unmount(ctx, existing.Path); err != nil && !notFound(err) {
			return changed, fmt.Errorf("unmount %s: %w", existing.Path, err)
		}
		changed = true
	}
	if want.plan.Unbound != "" {
		r.status.Mounts, r.status.MountTime = nil, nil
	}
	return changed, nil
}

func notFound(err error) bool {
	var refused *client.RefusedError
	return errors.As(err, &refused) && refused.Reason == client.ReasonNotFound
}

func mountAt(view *commonv1.ClusterView, path string) *commonv1.Mount {
	for _, m := range view.GetMounts() {
		if m.GetPath() == path {
			return m
		}
	}
	return nil
}

// sameMount compares two mounts without the fields that masters assign.
func sameMount(existing, want *commonv1.Mount) bool {
	without := proto.CloneOf(existing)
	without.Id, without.Epoch = "", 0
	if len(without.GetOptions()) == 0 && len(want.GetOptions()) == 0 {
		without.Options, want.Options = nil, nil
	}
	return proto.Equal(without, want)
}

// setStatus sets the existing mounts and whether their stores are available.
func (mounts) setStatus(r *report, want *desired, m *masterState) {
	if want.plan.Unbound != "" {
		removeCondition(&r.status.Conditions, v1alpha1.RuntimeMountsReady)
		return
	}
	if want.plan.FuseOnly() {
		r.status.Mounts = nil
		r.setCondition(v1alpha1.RuntimeMountsReady, false, reasonNotSupported, v1alpha1.FuseOnlyUnsupported)
		return
	}
	if m.view != nil {
		r.status.Mounts = effectiveMounts(want.plan.Mounts, m.view)
	}
	if m.workers == nil && r.previousStatus(v1alpha1.RuntimeMountsReady) == corev1.ConditionTrue {
		return // Without reports the state of the stores is unknown.
	}
	ok, reason, message := mountsReady(r.status.Mounts, want.plan, m)
	r.setCondition(v1alpha1.RuntimeMountsReady, ok, reason, message)
}

func mountsReady(existing []v1alpha1.Mount, p *plan.Plan, a *masterState) (ok bool, reason, message string) {
	var unsupported, refused, pending []string
	for _, problem := range p.Problems {
		unsupported = append(unsupported, fmt.Sprintf("mount %s: %s", problem.Mount, problem.Message))
	}
	health := a.mountHealth()
	for _, m := range p.Mounts {
		in := slices.ContainsFunc(existing, func(s v1alpha1.Mount) bool { return s.Path == m.Path })
		h, known := health[m.Path]
		switch {
		case !in:
			pending = append(pending, fmt.Sprintf("mount %s has not been created yet", m.Name))
		case h.err != "":
			refused = append(refused, fmt.Sprintf("mount %s: %s", m.Name, h.err))
		case !known:
			pending = append(pending, fmt.Sprintf("no worker has checked the store of mount %s yet", m.Name))
		}
	}
	switch {
	case len(refused) > 0:
		return false, reasonStoreRefuses, strings.Join(slices.Concat(refused, unsupported, pending), "; ")
	case len(unsupported) > 0:
		return false, reasonUnsupported, strings.Join(slices.Concat(unsupported, pending), "; ")
	case len(pending) > 0:
		if a.failed != nil {
			pending = append(pending, errorMessage(a.failed))
		}
		return false, reasonMountsPending, strings.Join(pending, "; ")
	}
	return true, reasonMounted, "every mount has been created and its store is available"
}

// mountState is the state of a mount as reported by workers.
type mountState struct {
	err            string
	objects, bytes int64
	// atLeast is set if objects and bytes are lower bounds.
	atLeast bool
}

// worked reports whether the store of a mount may have been available, so that its files
// may be open. Without a report it is not known.
func worked(states map[string]mountState, path string) bool {
	state, known := states[path]
	return !known || state.err == "" || state.objects >= 0
}

// mountHealth returns the state of mounts, by path, as reported by live workers.
func (m *masterState) mountHealth() map[string]mountState {
	paths := map[string]string{}
	for _, mount := range m.view.GetMounts() {
		paths[mount.GetId()] = mount.GetPath()
	}
	health := map[string]mountState{}
	for _, w := range m.workers {
		if !w.GetLive() || w.GetReport() == nil {
			continue
		}
		for _, reported := range w.GetReport().GetMounts() {
			path, ok := paths[reported.GetMountId()]
			if !ok {
				continue
			}
			state, known := health[path]
			if !known {
				state = mountState{objects: -1, bytes: -1}
			}
			if failure := notes.WithoutIDs(reported.GetError()); failure != "" && (state.err == "" || failure < state.err) {
				state.err = failure
			}
			if reported.GetObjects() >= 0 {
				state.objects, state.bytes, state.atLeast = reported.GetObjects(), reported.GetBytes(), reported.GetAtLeast()
			}
			health[path] = state
		}
	}
	return health
}

// effectiveMounts returns the mounts that are in the view.
func effectiveMounts(mounts []plan.Mount, view *commonv1.ClusterView) []v1alpha1.Mount {
	var in []v1alpha1.Mount
	for _, m := range mounts {
		if mountAt(view, m.Path) == nil {
			continue
		}
		in = append(in, v1alpha1.Mount{
			MountPoint: m.URI, Name: m.Name, Path: m.Path, ReadOnly: m.ReadOnly, Options: maps.Clone(m.Options),
		})
	}
	return in
}
