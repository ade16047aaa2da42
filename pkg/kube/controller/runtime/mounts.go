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

// mount brings the plan's mounts into place once, and takes them away when the
// Dataset is gone. Edits of mounts that are in place are told and not done,
// unless the mount has never worked: nobody can be using that.
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
		there := mountAt(a.view, m.Path)
		if there != nil && sameMount(there, m.Proto()) {
			continue
		}
		if h := health[m.Path]; p.status.MountTime != nil && (there == nil || h.err == "" || h.objects >= 0) {
			p.notApplied = append(p.notApplied, mountEdit(m, there))
			continue
		}
		if there != nil && there.GetUri() != m.URI {
			// Another store is another mount, whose cache is its own.
			if err := masters.Unmount(ctx, m.Path); err != nil && !notFound(err) {
				return fmt.Errorf("unmounting %s: %w", m.Path, err)
			}
		}
		if _, _, err := masters.Mount(ctx, m.Proto()); err != nil {
			return fmt.Errorf("mounting %s at %s: %w", m.URI, m.Path, err)
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

func mountEdit(m plan.Mount, there *commonv1.Mount) string {
	if there == nil {
		return fmt.Sprintf("mount %s of Dataset is not added at %s: mounts cannot be edited under a runtime that serves them yet", m.Name, m.Path)
	}
	return fmt.Sprintf("mount %s of Dataset stays %s with the options it was made with: mounts cannot be edited under a runtime that serves them yet", m.Name, there.GetUri())
}

// tellLeftMounts tells of mounts in place that the Dataset no longer has.
func (p *pass) setLeftMounts(view *commonv1.ClusterView) {
	if p.status.MountTime == nil {
		return
	}
	for _, there := range p.status.Mounts {
		wanted := slices.ContainsFunc(p.plan.Mounts, func(m plan.Mount) bool { return m.Path == there.Path })
		if !wanted && mountAt(view, there.Path) != nil {
			p.notApplied = append(p.notApplied, fmt.Sprintf("mount %s stays at %s although the Dataset no longer has it: mounts cannot be edited under a runtime that serves them yet", there.Name, there.Path))
		}
	}
}

// unmountAll takes away what this controller mounted for a Dataset that is
// gone; what people mounted by hand stays.
func (p *pass) unmountAll(ctx context.Context, masters Masters) error {
	for _, m := range p.status.Mounts {
		if mountAt(p.masterState.view, m.Path) == nil {
			continue
		}
		if err := masters.Unmount(ctx, m.Path); err != nil && !notFound(err) {
			return fmt.Errorf("unmounting %s: %w", m.Path, err)
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

// sameMount compares what people write, and not what masters give.
func sameMount(there, want *commonv1.Mount) bool {
	without := proto.CloneOf(there)
	without.Id, without.Epoch = "", 0
	if len(without.GetOptions()) == 0 && len(want.GetOptions()) == 0 {
		without.Options, want.Options = nil, nil
	}
	return proto.Equal(without, want)
}

// tellMounts writes which mounts are in place and whether they answer.
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
		return // Nobody was heard, which says nothing about the stores.
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
			pending = append(pending, fmt.Sprintf("mount %s is not in place yet", m.Name))
		case h.err != "":
			refused = append(refused, fmt.Sprintf("mount %s: %s", m.Name, h.err))
		case !known && p.plan.Workers != nil:
			pending = append(pending, fmt.Sprintf("no worker says yet whether the store of mount %s answers", m.Name))
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
	return true, reasonMounted, "every mount is in place and answers"
}

// mountState is what workers say of one mount.
type mountState struct {
	err            string
	objects, bytes int64
}

// mountHealth of the mounts by their paths, out of the reports of live workers.
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
				state.objects, state.bytes = m.GetObjects(), m.GetBytes()
			}
			health[path] = state
		}
	}
	return health
}

// statusMounts are those of the plan that are in the view; all without one.
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
