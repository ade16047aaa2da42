package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// without makes the ring hold all workers but one.
func (c *cluster) without(name string) {
	c.masters.change(func(v *commonv1.ClusterView) {
		v.PreviousRings = []*commonv1.Ring{v.Ring}
		v.Ring = &commonv1.Ring{Epoch: v.Ring.Epoch + 1, StripeSize: v.Ring.StripeSize, Members: slices.Clone(v.Ring.Members)}
		v.Ring.Members = slices.DeleteFunc(v.Ring.Members, func(m *commonv1.RingMember) bool { return m.GetName() == name })
	})
}

// drainOf calls Drain as the holder of a certificate.
func (h *harness) drainOf(role mtls.Role, timeout time.Duration) error {
	h.t.Helper()
	conn, err := h.identity(role, "caller").Dial(h.worker.Addr().String(), mtls.Worker, h.name)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	_, err = workerv1.NewCacheClient(conn).Drain(ctx, &workerv1.DrainRequest{Timeout: durationpb.New(timeout)})
	return err
}

// end stops the worker, and returns when it has ended.
func (h *harness) end() {
	h.t.Helper()
	h.cancel()
	err := <-h.stopped
	if h.stopped <- err; err != nil {
		h.t.Error(err)
	}
}

// TestDrainMovesTheCache drains a worker and stops it as soon as it may end. Then
// everything is read without a request to the store.
func TestDrainMovesTheCache(t *testing.T) {
	c := newCluster(t, 3, 256<<10)
	leaving := c.workers[0]
	var all []blockstore.Key
	for i := range 60 {
		all = append(all, c.bucket.put(fmt.Sprintf("small-%d", i), uint64(i), 1000+i))
	}
	for i := range 4 {
		all = append(all, c.bucket.put(fmt.Sprintf("striped-%d", i), uint64(i+100), 2<<20+i))
	}
	reader := c.client(-1)
	for _, key := range all {
		c.mustRead(reader, key, 0, key.Size)
	}
	eventually(t, "all is on disk", func() bool {
		var present int64
		for _, h := range c.workers {
			keys, err := h.blocks.Cached()
			if err != nil {
				return false
			}
			for _, key := range keys {
				for first, end := h.blocks.Present(key, 0); first < end; first, end = h.blocks.Present(key, end) {
					present += end - first
				}
			}
		}
		var size int64
		for _, key := range all {
			size += key.Size
		}
		return present == size
	})
	if held, _ := leaving.blocks.Cached(); len(held) == 0 {
		t.Fatal("the worker that leaves has nothing cached")
	}

	for _, role := range []mtls.Role{mtls.Fuse, mtls.Worker, mtls.Master} {
		if err := leaving.drainOf(role, time.Minute); status.Code(err) != codes.PermissionDenied {
			t.Errorf("role %s: %v", role, err)
		}
	}
	if err := leaving.drainOf(mtls.Admin, 48*time.Hour); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an endless timeout: %v", err)
	}
	for range 2 {
		if err := leaving.drainOf(mtls.Admin, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	c.without(leaving.name)
	eventually(t, "it is reported", func() bool { return leaving.worker.report().GetDraining() })
	gets := c.bucket.gets.Load()
	leaving.end()
	if n := leaving.worker.drain.skipped.Load(); n != 0 || leaving.worker.drain.moved.Load() == 0 {
		t.Errorf("%d bytes were moved, %d were not", leaving.worker.drain.moved.Load(), n)
	}
	reader = c.client(-1)
	for _, key := range all {
		c.mustRead(reader, key, 0, key.Size)
	}
	if again := c.bucket.gets.Load() - gets; again != 0 {
		t.Errorf("the store received %d requests for what was cached", again)
	}
}

// TestDrainedWorkersDoNotRegister drains a worker that the ring does not list yet.
func TestDrainedWorkersDoNotRegister(t *testing.T) {
	h := newHarness(t)
	h.ready()
	registered := func() int {
		h.masters.mu.Lock()
		defer h.masters.mu.Unlock()
		return len(h.masters.registered)
	}
	eventually(t, "it registers", func() bool { return registered() > 0 })
	h.worker.drain.begin(0)
	h.masters.mu.Lock()
	h.masters.registered, h.masters.reports = nil, nil
	h.masters.mu.Unlock()
	eventually(t, "several heartbeats report that it is not registered", func() bool {
		h.masters.mu.Lock()
		defer h.masters.mu.Unlock()
		return len(h.masters.reports) > 5
	})
	if n := registered(); n != 0 {
		t.Errorf("it registered %d times", n)
	}
}

// TestDrainIsBounded drains a worker while the other one does not respond.
func TestDrainIsBounded(t *testing.T) {
	c := newCluster(t, 2, 0)
	leaving := c.workers[0]
	reader := c.client(-1)
	for i := range 20 {
		key := c.bucket.put(fmt.Sprint(i), uint64(i), 1000)
		c.mustRead(reader, key, 0, key.Size)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	leaving.worker.drain.begin(50 * time.Millisecond)
	c.without(leaving.name)
	c.masters.change(func(v *commonv1.ClusterView) { v.Ring.Members[0].Port = uint32(silent.Addr().(*net.TCPAddr).Port) })
	leaving.end()
}

// TestKeepIsRefused checks that only a worker of a previous ring has ranges cached, and
// only those that it has.
func TestKeepIsRefused(t *testing.T) {
	c := newCluster(t, 2, 0)
	key := c.bucket.put("f", 1, 1000)
	owner := c.workers[0]
	c.without(c.workers[1].name)
	eventually(t, "the worker has the ring", func() bool { return owner.worker.views.load().GetIndex() == c.masters.index() })
	epoch := fmt.Sprint(owner.worker.views.load().GetRing().GetEpoch())
	for name, r := range map[string]struct {
		role  mtls.Role
		name  string
		epoch string
		want  int
	}{
		"a FUSE server":           {mtls.Fuse, "reader", epoch, 403},
		"an administrator":        {mtls.Admin, "admin", epoch, 403},
		"a worker of no ring":     {mtls.Worker, "hadoop-jindofs-worker-7", epoch, 409},
		"a worker without it":     {mtls.Worker, c.workers[1].name, epoch, 409},
		"a ring that is not here": {mtls.Worker, c.workers[1].name, "1000", 503},
	} {
		transport := &http.Transport{TLSClientConfig: owner.identity(r.role, r.name).ClientConfig(mtls.Worker, owner.name)}
		t.Cleanup(transport.CloseIdleConnections)
		response, err := owner.get(&http.Client{Transport: transport}, key, 0, 999, wire.HeaderKeep, "1", wire.HeaderRingEpoch, r.epoch)
		if err != nil || response.status != r.want {
			t.Errorf("%s: status %d, error %v, want %d", name, response.status, err, r.want)
		}
	}
	if c.bucket.gets.Load() != 0 {
		t.Error("the store was read")
	}
}
