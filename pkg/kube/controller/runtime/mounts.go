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
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// mount creates the plan's mounts, and removes them when the Dataset has been
// deleted. A change of an existing mount is recorded as not applied, unless the mount
// has never worked and thus cannot be in use.
func (p *pass) mount(ctx context.Context, masters Masters) error {
	a := &p.masterState
	if p.datasetInvalid {
		return nil
	}
	if p.plan.Unbound != "" {
		return p.unmountAll(ctx, masters)
	}
	changed, health := false, p.mountHealth()
	for _, m := range p.plan.Mounts {
		existing := mountAt(a.view, m.Path)
		if existing != nil && sameMount(existing, m.Proto()) {
			continue
		}
		if h := health[m.Path]; p.status.MountTime != nil && (existing == nil || h.err == "" || h.objects >= 0) {
			p.notApplied = append(p.notApplied, mountEdit(m, existing))
			continue
		}
		if existing != nil && existing.GetUri() != m.URI {
			// A mount of another store is a new mount with its own cache.
			if err := masters.Unmount(ctx, m.Path); err != nil && !notFound(err) {
				return fmt.Errorf("unmount %s: %w", m.Path, err)
			}
		}
		if _, _, err := masters.Mount(ctx, m.Proto()); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.URI, m.Path, err)
		}
		changed = true
	}
	p.setLeftMounts(a.view)
	if changed {
		view, err := masters.View(ctx)
		if err != nil {
			return err
		}
		a.view = view
	}
	if p.status.MountTime == nil && len(p.plan.Mounts) > 0 {
		at := p.now
		p.status.MountTime = &at
	}
	return nil
}

func mountEdit(m plan.Mount, existing *commonv1.Mount) string {
	if existing == nil {
		return fmt.Sprintf("mount %s of the Dataset is not added at %s: changing mounts of a bound runtime is not supported yet", m.Name, m.Path)
	}
	return fmt.Sprintf("mount %s of the Dataset remains %s with its previous options: changing mounts of a bound runtime is not supported yet", m.Name, existing.GetUri())
}

// setLeftMounts records existing mounts that the Dataset no longer has as not
// applied.
func (p *pass) setLeftMounts(view *commonv1.ClusterView) {
	if p.status.MountTime == nil {
		return
	}
	for _, existing := range p.status.Mounts {
		wanted := slices.ContainsFunc(p.plan.Mounts, func(m plan.Mount) bool { return m.Path == existing.Path })
		if !wanted && mountAt(view, existing.Path) != nil {
			p.notApplied = append(p.notApplied, fmt.Sprintf("mount %s remains at %s although it was removed from the Dataset: changing mounts of a bound runtime is not supported yet", existing.Name, existing.Path))
		}
	}
}

// unmountAll removes the mounts that this controller created for a deleted Dataset.
// Mounts that users created manually remain.
func (p *pass) unmountAll(ctx context.Context, masters Masters) error {
	for _, m := range p.status.Mounts {
		if mountAt(p.masterState.view, m.Path) == nil {
			continue
		}
		if err := masters.Unmount(ctx, m.Path); err != nil && !notFound(err) {
			return fmt.Errorf("unmount %s: %w", m.Path, err)
		}
	}
	p.status.Mounts, p.status.MountTime = nil, nil
	return nil
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

// setStatusMounts sets the existing mounts and whether their stores are available.
func (p *pass) setStatusMounts() {
	if p.datasetInvalid {
		return
	}
	if p.plan.Unbound != "" {
		removeCondition(&p.status.Conditions, v1alpha1.RuntimeMountsReady)
		return
	}
	if p.plan.Masters == nil {
		p.status.Mounts = effectiveMounts(p.plan.Mounts, nil)
	} else if p.masterState.view != nil {
		p.status.Mounts = effectiveMounts(p.plan.Mounts, p.masterState.view)
	}
	if p.plan.Masters != nil && p.masterState.workers == nil && p.previousStatus(v1alpha1.RuntimeMountsReady) == corev1.ConditionTrue {
		return // Without reports the state of the stores is unknown.
	}
	ok, reason, message := p.mountsReady()
	p.storeFailed = reason == reasonStoreRefuses
	p.setCondition(v1alpha1.RuntimeMountsReady, ok, reason, message)
}

func (p *pass) mountsReady() (ok bool, reason, message string) {
	var unsupported, refused, pending []string
	for _, problem := range p.plan.Problems {
		unsupported = append(unsupported, fmt.Sprintf("mount %s: %s", problem.Mount, problem.Message))
	}
	health := p.mountHealth()
	for _, m := range p.plan.Mounts {
		in := slices.ContainsFunc(p.status.Mounts, func(s v1alpha1.Mount) bool { return s.Path == m.Path })
		h, known := health[m.Path]
		switch {
		case !in:
			pending = append(pending, fmt.Sprintf("mount %s has not been created yet", m.Name))
		case h.err != "":
			refused = append(refused, fmt.Sprintf("mount %s: %s", m.Name, h.err))
		case !known && p.plan.Workers != nil:
			pending = append(pending, fmt.Sprintf("no worker has checked the store of mount %s yet", m.Name))
		}
	}
	switch {
	case len(refused) > 0:
		return false, reasonStoreRefuses, strings.Join(slices.Concat(refused, unsupported, pending), "; ")
	case len(unsupported) > 0:
		return false, reasonUnsupported, strings.Join(slices.Concat(unsupported, pending), "; ")
	case len(pending) > 0:
		if p.masterState.failed != nil {
			pending = append(pending, errorMessage(p.masterState.failed))
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

// mountHealth returns the state of mounts, by path, as reported by live workers.
func (p *pass) mountHealth() map[string]mountState {
	paths := map[string]string{}
	for _, m := range p.masterState.view.GetMounts() {
		paths[m.GetId()] = m.GetPath()
	}
	health := map[string]mountState{}
	for _, w := range p.masterState.workers {
		if !w.GetLive() || w.GetReport() == nil {
			continue
		}
		for _, m := range w.GetReport().GetMounts() {
			path, ok := paths[m.GetMountId()]
			if !ok {
				continue
			}
			state, known := health[path]
			if !known {
				state = mountState{objects: -1, bytes: -1}
			}
			if m.GetError() != "" && (state.err == "" || m.GetError() < state.err) {
				state.err = m.GetError()
			}
			if m.GetObjects() >= 0 {
				state.objects, state.bytes, state.atLeast = m.GetObjects(), m.GetBytes(), m.GetAtLeast()
			}
			health[path] = state
		}
	}
	return health
}

// effectiveMounts returns the mounts that are in the view; all if view is nil.
func effectiveMounts(mounts []plan.Mount, view *commonv1.ClusterView) []v1alpha1.Mount {
	var in []v1alpha1.Mount
	for _, m := range mounts {
		if view != nil && mountAt(view, m.Path) == nil {
			continue
		}
		in = append(in, v1alpha1.Mount{
			MountPoint: m.URI, Name: m.Name, Path: m.Path, ReadOnly: m.ReadOnly, Options: maps.Clone(m.Options),
		})
	}
	return in
}
