package collect

import (
	"cmp"
	"slices"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

func newestView(workers []workerResponse) *commonv1.ClusterView {
	var newest *commonv1.ClusterView
	for _, w := range workers {
		if w.view != nil && (newest == nil || w.view.GetIndex() > newest.GetIndex()) {
			newest = w.view
		}
	}
	return newest
}

func worker(w topology.Member, response workerResponse, view *commonv1.ClusterView) report.Worker {
	out := report.Worker{Name: w.Name, Address: w.Address()}
	out.Registered = slices.ContainsFunc(view.GetRing().GetMembers(), func(m *commonv1.RingMember) bool { return m.GetName() == w.Name })
	if response.err != nil {
		out.Error = Reason(response.err)
		return out
	}
	r := response.report
	out.Live, out.Draining = true, r.GetDraining()
	out.RingEpoch, out.ViewIndex = r.GetRingEpoch(), r.GetViewIndex()
	out.Hits, out.Misses = r.GetHits(), r.GetMisses()
	out.HitBytes, out.MissBytes, out.StoreBytes = r.GetHitBytes(), r.GetMissBytes(), r.GetStoreBytes()
	if recent := r.GetRecent(); recent != nil {
		out.RecentSeconds = recent.GetWindow().AsDuration().Seconds()
		out.RecentHitBytes, out.RecentMissBytes = recent.GetHitBytes(), recent.GetMissBytes()
	}
	out.Started, out.Version = moment(r.GetStarted()), r.GetVersion()
	for _, t := range r.GetTiers() {
		out.Tiers = append(out.Tiers, report.Tier{
			Medium: t.GetMedium(), Capacity: t.GetCapacity(), Used: t.GetUsed(),
			Files: t.GetFiles(), SealedFiles: t.GetSealedFiles(), Error: t.GetError(),
			Hits: t.GetHits(), HitBytes: t.GetHitBytes(), Promoted: t.GetPromoted(), Demoted: t.GetDemoted(),
		})
	}
	return out
}

// mounts returns the mounts of the view with the state that the workers report of
// their stores.
func mounts(view *commonv1.ClusterView, workers []workerResponse) []report.Mount {
	var out []report.Mount
	for _, m := range view.GetMounts() {
		mount := report.Mount{Name: m.GetName(), Path: m.GetPath(), URI: m.GetUri(), ReadOnly: m.GetReadOnly(), Epoch: m.GetEpoch()}
		for _, w := range workers {
			for _, h := range w.report.GetMounts() {
				if h.GetMountId() == m.GetId() {
					addHealth(&mount, h)
				}
			}
		}
		out = append(out, mount)
	}
	slices.SortFunc(out, func(a, b report.Mount) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	return out
}

// addHealth keeps the largest totals, because a worker counts only the part of the
// tree that it has listed.
func addHealth(mount *report.Mount, h *commonv1.MountHealth) {
	if h.GetError() != "" && mount.Error == "" {
		mount.Error = h.GetError()
	}
	if h.GetObjects() >= 0 && (mount.Objects == nil || h.GetObjects() > *mount.Objects) {
		mount.Objects, mount.AtLeast = new(h.GetObjects()), h.GetAtLeast()
	}
	mount.Hidden = max(mount.Hidden, h.GetHidden())
	if h.GetBytes() >= 0 && (mount.Bytes == nil || h.GetBytes() > *mount.Bytes) {
		mount.Bytes = new(h.GetBytes())
	}
}

// passthrough counts the mounts that FUSE servers have reported to the workers, each
// by its newest report. It returns nil if there are none.
func passthrough(workers []workerResponse) *report.Passthrough {
	newest := map[string]*workerv1.ReportedMount{}
	for _, w := range workers {
		for _, m := range w.mounts {
			if other := newest[m.GetState().GetId()]; other == nil || m.GetAge().AsDuration() < other.GetAge().AsDuration() {
				newest[m.GetState().GetId()] = m
			}
		}
	}
	if len(newest) == 0 {
		return nil
	}
	out, reasons := &report.Passthrough{Mounts: len(newest)}, map[string]int{}
	for _, m := range newest {
		if reason := m.GetState().GetPassthrough(); reason != "" {
			reasons[reason]++
		} else {
			out.Enabled++
		}
		out.Files += m.GetState().GetFiles()
	}
	for reason, n := range reasons {
		out.Reasons = append(out.Reasons, report.PassthroughReason{Reason: reason, Mounts: n})
	}
	slices.SortFunc(out.Reasons, func(a, b report.PassthroughReason) int {
		return cmp.Or(cmp.Compare(b.Mounts, a.Mounts), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}
