package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/ring"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/message"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/version"
)

// masterTimeout bounds one call to the masters.
const masterTimeout = 10 * time.Second

// follow keeps the worker registered and its view current until the context
// ends. No master needs to be reachable.
func (w *Worker) follow(ctx context.Context) {
	ticker := time.NewTicker(w.config.Heartbeat)
	defer ticker.Stop()
	registered := false
	for {
		if !registered {
			registered = w.drain.registers(func() bool { return w.register(ctx) })
		}
		if w.beat(ctx) {
			registered = false
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// watchMounts opens the mounts of each new view and probes failing ones until
// the context ends.
func (w *Worker) watchMounts(ctx context.Context) {
	ticker := time.NewTicker(w.config.Heartbeat)
	defer ticker.Stop()
	var probes sync.WaitGroup
	defer probes.Wait()
	for {
		for _, entry := range w.mounts.all() {
			probes.Go(func() {
				entry.probe(ctx)
				w.countKeys(entry)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-w.changed:
		}
	}
}

// countKeys starts to count the totals of a mount on the worker that owns the
// mount's root, once the store is reachable, so that they are known before the
// first request for a name.
func (w *Worker) countKeys(entry *mounted) {
	id := entry.mount.GetId()
	v := w.views.load()
	if v == nil || v.mounts[id] == nil || !w.ownsRoot(v, id) || !entry.works() {
		return
	}
	if store, err := entry.opened(); err == nil && store != nil {
		w.config.Directory.Count(listed(v.mounts[id], store))
	}
}

// ownsRoot reports whether this worker counts the mount and reports its totals.
func (w *Worker) ownsRoot(v *view, mountID string) bool {
	return v.owns(w.config.Name, ring.DirectoryKey(mountID, ""))
}

// viewChanged makes the worker use a newer view.
func (w *Worker) viewChanged(v *view) {
	w.mounts.apply(v)
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// register adds the worker to the ring and uses the resulting view. It reports
// whether that succeeded.
func (w *Worker) register(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, masterTimeout)
	defer cancel()
	view, err := w.registerID(ctx)
	var refused *client.RefusedError
	if errors.As(err, &refused) && refused.Reason == client.ReasonIDTaken {
		// The disk was another worker's before: pods of a StatefulSet may
		// exchange their disks. The cached bytes stay valid.
		w.config.Logger.Warn("minting a new id: the id on this disk belongs to another worker", "error", err)
		if err = w.views.renew(); err == nil {
			view, err = w.registerID(ctx)
		}
	}
	if err == nil {
		err = w.views.offer(view)
	}
	w.setContact(err)
	if err != nil {
		return false
	}
	w.config.Logger.Info("registered", "ring", view.GetRing().GetEpoch(), "view", view.GetIndex())
	return true
}

func (w *Worker) registerID(ctx context.Context) (*commonv1.ClusterView, error) {
	id, clusterID := w.views.id()
	return w.config.Masters.RegisterWorker(ctx, &commonv1.RingMember{
		Id: id, Name: w.config.Name, Host: w.config.Host, Port: uint32(w.config.Port), Weight: w.weight(),
	}, clusterID)
}

// beat sends a heartbeat to every master, and gets the view if one of them has
// a newer one. It reports whether the worker must register again.
func (w *Worker) beat(ctx context.Context) (unregistered bool) {
	_, clusterID := w.views.id()
	ctx, cancel := context.WithTimeout(ctx, masterTimeout)
	defer cancel()
	index := w.views.load().index()
	var newer bool
	for _, result := range w.config.Masters.Heartbeat(ctx, w.report(), clusterID) {
		if result.Err != nil {
			w.config.Logger.Debug("heartbeat failed", "member", result.Master, "error", result.Err)
			continue
		}
		newer = newer || result.ViewIndex > index
		// A master that lags may not have this worker yet. One that does not lag
		// and does not have it has removed it.
		unregistered = unregistered || !result.Registered && result.ViewIndex >= index
	}
	if !newer {
		return unregistered
	}
	view, err := w.config.Masters.View(ctx)
	if err == nil {
		err = w.views.offer(view)
	}
	w.setContact(err)
	return unregistered
}

// mount returns a mount of the newest view, or nil. An unknown mount may be
// new, so the view is requested from the masters, at most once a second.
func (w *Worker) mount(ctx context.Context, id string) *mounted {
	if entry := w.mounts.get(id); entry != nil {
		return entry
	}
	w.refreshing.Lock()
	defer w.refreshing.Unlock()
	if entry := w.mounts.get(id); entry != nil || time.Since(w.refreshed) < time.Second {
		return entry
	}
	w.refreshed = time.Now()
	ctx, cancel := context.WithTimeout(ctx, w.config.PeerTimeout)
	defer cancel()
	if view, err := w.config.Masters.View(ctx); err == nil {
		if err := w.views.offer(view); err != nil {
			w.config.Logger.Warn("cannot use the masters' view", "error", err)
		}
	}
	return w.mounts.get(id)
}

// setContact records the result of the last call to the masters, and logs
// changes.
func (w *Worker) setContact(err error) {
	w.mu.Lock()
	was := w.contact
	w.contact = err
	w.mu.Unlock()
	switch {
	case err != nil && was == nil:
		w.config.Logger.Warn("masters unreachable; serving the last known view", "error", err)
	case err != nil:
		w.config.Logger.Debug("masters unreachable", "error", err)
	case was != nil:
		w.config.Logger.Info("masters reachable again")
	}
}

// weight returns the worker's weight in the ring: its quota in bytes.
func (w *Worker) weight() uint64 {
	var total uint64
	for _, tier := range w.config.Blocks.Stats().Tiers {
		total += uint64(tier.Capacity)
	}
	return total
}

// report returns the worker's state for masters and administrators.
func (w *Worker) report() *commonv1.WorkerReport {
	stats, v := w.config.Blocks.Stats(), w.views.load()
	id, _ := w.views.id()
	report := &commonv1.WorkerReport{
		Id: id, Name: w.config.Name, Version: version.String(), Started: timestamppb.New(w.started),
		HitBytes: count(stats.HitBytes), MissBytes: count(stats.MissBytes), Hits: count(stats.Hits), Misses: count(stats.Misses),
		StoreBytes: w.storeBytes.Load(), ViewIndex: v.index(),
	}
	if w.config.CredentialsRevision != nil {
		report.CredentialsRevision = w.config.CredentialsRevision()
	}
	report.RingEpoch, report.Draining = v.epochs("").Ring, w.drain.begun()
	report.Recent = &commonv1.RecentReads{
		Window: durationpb.New(blockstore.RecentWindow), Hits: count(stats.Recent.Hits), Misses: count(stats.Recent.Misses),
		HitBytes: count(stats.Recent.HitBytes), MissBytes: count(stats.Recent.MissBytes),
	}
	for _, t := range stats.Tiers {
		tier := &commonv1.TierReport{
			Medium: t.Medium, Capacity: count(t.Capacity), Used: count(t.Used), Files: count(t.Files), SealedFiles: count(t.Sealed),
			Hits: count(t.Hits), HitBytes: count(t.HitBytes), Promoted: count(t.Promoted), Demoted: count(t.Demoted),
		}
		if t.Err != nil {
			tier.Error = message.Text(t.Err.Error())
		}
		report.Tiers = append(report.Tiers, tier)
	}
	for _, entry := range w.mounts.all() {
		health := &commonv1.MountHealth{MountId: entry.mount.GetId(), Objects: -1, Bytes: -1}
		if w.ownsRoot(v, entry.mount.GetId()) {
			t := w.config.Directory.Counted(entry.mount.GetId())
			health.Objects, health.Bytes, health.AtLeast, health.Hidden = t.Objects, t.Bytes, t.AtLeast, t.Hidden
		}
		if err := entry.health(); err != nil {
			health.Error = message.Text(ufs.Summary(err))
		}
		report.Mounts = append(report.Mounts, health)
	}
	return report
}

func count(n int64) uint64 { return uint64(max(n, 0)) }

// Ready returns why readers should not use the worker yet, or nil. A failing
// tier or mount is not a reason: it is reported, and other reads work.
func (w *Worker) Ready() error {
	if w.views.load() == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		return fmt.Errorf("no view of the cluster yet: no master has responded and no view is on disk (last error: %w)", w.contact)
	}
	for _, entry := range w.mounts.all() {
		if !entry.tried() {
			return fmt.Errorf("mount %s is not open yet", entry.mount.GetName())
		}
	}
	return nil
}
