package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/notes"
	masterclient "github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// mounts makes the mounts of the masters those of the desired state, and removes others
// that this controller created. Mounts that users created manually remain.
//
// Input: the desired state and the masters. Output: status.mounts, status.mountTime, the
// condition MountsReady, and a message for each mount that is not as desired yet.
//
// Invariant: a mount is created or changed only when every live worker has the
// credentials that it names, and files of a mount that has worked are taken away only
// while no pod uses the Dataset.
type mounts struct {
	live client.Reader
}

func (c mounts) reconcile(ctx context.Context, r *report, want *desired, m *masterState) []string {
	var waiting []string
	if m.masters != nil && m.leader != nil && m.failed == nil {
		ctx, cancel := context.WithTimeout(ctx, queryTimeout)
		defer cancel()
		waiting, m.failed = c.mount(ctx, r, want, m)
	}
	c.setStatus(r, want, m, waiting)
	return waiting
}

func (c mounts) mount(ctx context.Context, r *report, want *desired, m *masterState) (waiting []string, err error) {
	changed, waiting, err := c.unmount(ctx, r, want, m)
	if err != nil {
		return waiting, err
	}
	unread := m.credentialsUnread(want.plan.CredentialsRevision)
	for _, next := range want.plan.Mounts {
		existing := mountAt(m.view, next.Path)
		if existing != nil && sameMount(existing, next.Proto()) {
			continue
		}
		if next.SecretRef != "" && unread != "" {
			waiting = append(waiting, fmt.Sprintf("mount %s at %s waits for %s to read its credentials", next.Name, next.Path, unread))
			continue
		}
		if existing != nil && existing.GetUri() != next.URI {
			users, err := c.users(ctx, want, m, next.Path)
			if err != nil {
				return waiting, err
			}
			if users != "" {
				waiting = append(waiting, fmt.Sprintf("mount %s remains %s until no pod uses Dataset %s: %s", next.Name, existing.GetUri(), want.plan.Dataset, users))
				continue
			}
		}
		// A mount of another store at the same path gets another id, and with it its own
		// cache.
		if _, _, err := m.masters.Mount(ctx, next.Proto()); err != nil {
			return waiting, fmt.Errorf("mount %s at %s: %w", next.URI, next.Path, err)
		}
		changed = true
	}
	if changed {
		view, err := m.masters.View(ctx)
		if err != nil {
			return waiting, err
		}
		m.view = view
	}
	exists := func(planned plan.Mount) bool { return mountAt(m.view, planned.Path) != nil }
	if r.status.MountTime == nil && slices.ContainsFunc(want.plan.Mounts, exists) {
		at := r.now
		r.status.MountTime = &at
	}
	return waiting, nil
}

// users returns a message that names the pods that may have files of the mount at a path
// open; "" if there are none.
func (c mounts) users(ctx context.Context, want *desired, m *masterState, path string) (string, error) {
	if want.plan.Dataset == "" || !worked(m.mountHealth(), path) {
		return "", nil
	}
	return usersOf(ctx, c.live, want.runtime.Namespace, want.plan.Dataset)
}

// unmount removes the mounts that this controller created and that the plan no longer
// has, and reports whether there were any.
func (c mounts) unmount(ctx context.Context, r *report, want *desired, m *masterState) (changed bool, waiting []string, err error) {
	for _, existing := range r.status.Mounts {
		if planned(want.plan, existing.Path) || mountAt(m.view, existing.Path) == nil {
			continue
		}
		users, err := c.users(ctx, want, m, existing.Path)
		if err != nil {
			return changed, waiting, err
		}
		if users != "" {
			waiting = append(waiting, fmt.Sprintf("mount %s remains at %s until no pod uses Dataset %s: %s", existing.Name, existing.Path, want.plan.Dataset, users))
			continue
		}
		if err := m.masters.Unmount(ctx, existing.Path); err != nil && !notFound(err) {
			return changed, waiting, fmt.Errorf("unmount %s: %w", existing.Path, err)
		}
		changed = true
	}
	if want.plan.Unbound != "" {
		r.status.Mounts, r.status.MountTime = nil, nil
	}
	return changed, waiting, nil
}

func planned(p *plan.Plan, path string) bool {
	return slices.ContainsFunc(p.Mounts, func(m plan.Mount) bool { return m.Path == path })
}

// credentialsUnread names a live worker that has not read the credentials of a revision;
// "" if all have. Without reports it is not known.
func (m *masterState) credentialsUnread(revision int64) string {
	if revision <= 0 {
		return ""
	}
	if m.workers == nil {
		return "the workers"
	}
	for name := range m.withoutCredentials(revision) {
		return cmp.Or(name, "a worker")
	}
	return ""
}

// withoutCredentials returns the names of the live workers that have not read the
// credentials of a revision.
func (m *masterState) withoutCredentials(revision int64) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, w := range m.workers {
			if w.GetLive() && w.GetReport().GetCredentialsRevision() < uint64(max(revision, 0)) && !yield(w.GetReport().GetName()) {
				return
			}
		}
	}
}

// refInUse reports whether the masters, or a worker with an earlier view, may use
// credentials.
func (m *masterState) refInUse(ref string) bool {
	if m.view == nil || m.workers == nil {
		return true
	}
	if slices.ContainsFunc(m.view.GetMounts(), func(mount *commonv1.Mount) bool { return mount.GetSecretRef() == ref }) {
		return true
	}
	return slices.ContainsFunc(m.workers, func(w *masterv1.WorkerState) bool {
		return w.GetLive() && w.GetReport().GetViewIndex() < m.view.GetIndex()
	})
}

func notFound(err error) bool {
	var refused *masterclient.RefusedError
	return errors.As(err, &refused) && refused.Reason == masterclient.ReasonNotFound
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
func (mounts) setStatus(r *report, want *desired, m *masterState, waiting []string) {
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
		r.status.Mounts = existingMounts(want.plan.Mounts, r.status.Mounts, m.view)
	}
	if m.workers == nil && storesWereReported(r) {
		return // Without reports the state of the stores is unknown.
	}
	ok, reason, message := mountsReady(r.status.Mounts, want.plan, m, waiting)
	r.setCondition(v1alpha1.RuntimeMountsReady, ok, reason, message)
}

// storesWereReported reports whether the condition MountsReady is what workers reported.
func storesWereReported(r *report) bool {
	c := health.RuntimeCondition(r.runtime, v1alpha1.RuntimeMountsReady)
	return c != nil && (c.Status == corev1.ConditionTrue || c.Reason == reasonStoreRefuses || c.Reason == reasonSomeRefuse)
}

// mountsReady returns the status, reason and message of the condition MountsReady.
//
// Invariant: the reason is reasonStoreRefuses only if no mount is served, so that a mount
// that refuses does not make the Dataset fail for the others. While no mount is served
// and the state of one is not known yet, the mounts are pending, so that the order of the
// first reports does not cause a second event.
func mountsReady(existing []v1alpha1.Mount, p *plan.Plan, a *masterState, waiting []string) (ok bool, reason, message string) {
	var unsupported, refused, pending []string
	for _, problem := range p.Problems {
		unsupported = append(unsupported, fmt.Sprintf("mount %s: %s", problem.Mount, problem.Message))
	}
	served := 0
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
		default:
			served++
		}
	}
	switch {
	case len(refused) > 0 && served > 0:
		return false, reasonSomeRefuse, strings.Join(slices.Concat(refused, unsupported, pending), "; ")
	case len(refused) > 0 && len(pending) > 0 && a.failed == nil:
		return false, reasonMountsPending, strings.Join(slices.Concat(pending, refused, unsupported), "; ")
	case len(refused) > 0:
		return false, reasonStoreRefuses, strings.Join(slices.Concat(refused, unsupported, pending), "; ")
	case len(unsupported) > 0:
		return false, reasonUnsupported, strings.Join(slices.Concat(unsupported, pending), "; ")
	case len(pending) > 0:
		if len(existing) == 0 && len(waiting) > 0 {
			pending = waiting
		}
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

// existingMounts returns the mounts of the view that are planned, or that this controller
// created before and has not removed yet.
func existingMounts(mounts []plan.Mount, before []v1alpha1.Mount, view *commonv1.ClusterView) []v1alpha1.Mount {
	var in []v1alpha1.Mount
	add := func(name, path string) {
		m := mountAt(view, path)
		if m == nil || slices.ContainsFunc(in, func(other v1alpha1.Mount) bool { return other.Path == path }) {
			return
		}
		in = append(in, v1alpha1.Mount{
			MountPoint: m.GetUri(), Name: name, Path: path, ReadOnly: m.GetReadOnly(), Options: maps.Clone(m.GetOptions()),
		})
	}
	for _, m := range mounts {
		add(m.Name, m.Path)
	}
	for _, m := range before {
		add(m.Name, m.Path)
	}
	return in
}
