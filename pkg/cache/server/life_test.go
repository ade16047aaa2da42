package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/ring"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

func (h *harness) dial(role mtls.Role) *grpc.ClientConn {
	h.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+h.worker.Addr().String(),
		grpc.WithTransportCredentials(credentials.NewTLS(h.identity(role, "client").ClientConfig(mtls.Worker, workerName))))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestStartsWithoutMasters checks that the id, the view and the cached bytes on
// disk suffice to serve.
func TestStartsWithoutMasters(t *testing.T) {
	h := newHarness(t)
	tier := t.TempDir()
	h.stop()
	h.openBlocks(tier)
	h.start()
	h.ready()
	client := h.client(mtls.Fuse, false)
	key := h.bucket.put("a", 1, 300_000)
	h.mustGet(client, key, 0, 299_999)
	id, _ := h.worker.views.id()
	h.stop()

	h.masters.kill()
	h.bucket.failWith(ufs.ErrUnavailable, nil)
	h.openBlocks(tier)
	h.start()
	h.ready()
	if again, _ := h.worker.views.id(); again != id || id == "" {
		t.Errorf("the id was %q and is %q", id, again)
	}
	if a := h.mustGet(h.client(mtls.Fuse, false), key, 0, 299_999); a.header.Get(wire.HeaderSource) != "cache" {
		t.Errorf("the source is %s, want cache", a.header.Get(wire.HeaderSource))
	}
	view, err := workerv1.NewCacheClient(h.dial(mtls.Fuse)).GetView(t.Context(), &workerv1.GetViewRequest{})
	if err != nil || view.GetView().GetIndex() != 5 {
		t.Errorf("view %v, %v", view, err)
	}
}

// TestAnotherCluster checks that a worker does not start for another cluster
// than the one on its disk.
func TestAnotherCluster(t *testing.T) {
	h := newHarness(t).ready()
	config := h.config
	config.ClusterID = "c2"
	config.Registry = nil
	if _, err := New(config); err == nil || !strings.Contains(err.Error(), "cluster c1") {
		t.Errorf("New returned %v", err)
	}
	other := oneMount()
	other.ClusterId, other.Index = "c2", 100
	if err := h.worker.views.offer(other); err == nil || h.worker.views.load().GetIndex() != 5 {
		t.Errorf("the view of another cluster was accepted: %v", err)
	}
}

// TestDamagedDisk checks that a damaged view is ignored, and that the error of a
// damaged id names the file.
func TestDamagedDisk(t *testing.T) {
	h := newHarness(t).ready()
	h.stop()
	path := filepath.Join(h.config.DataDir, viewFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	h.openBlocks(t.TempDir())
	h.start()
	h.ready()
	if err := os.WriteFile(filepath.Join(h.config.DataDir, idFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(h.config); err == nil || !strings.Contains(err.Error(), idFile) {
		t.Errorf("New returned %v", err)
	}
}

// TestFollowsTheView checks that mounts follow the view, and that the view is
// requested immediately for an unknown mount.
func TestFollowsTheView(t *testing.T) {
	h := newHarness(t, func(h *harness) { h.config.Heartbeat = time.Hour }).ready()
	client := h.client(mtls.Fuse, false)
	h.masters.change(func(v *commonv1.ClusterView) {
		v.Mounts = append(v.Mounts, &commonv1.Mount{Id: "m2", Name: "second", Path: "/second", Uri: "oss://other/"})
	})
	key := h.bucket.put("a", 1, 1000)
	key.Mount = "m2"
	h.mustGet(client, key, 0, 999) // no heartbeat has returned the mount yet
	key.Mount = "m3"
	if a, err := h.get(client, key, 0, 999); err != nil || a.code() != wire.CodeUnknownMount || a.status != http.StatusNotFound {
		t.Errorf("an unknown mount: %d %s %v", a.status, a.body, err)
	}
	next := oneMount()
	next.Mounts, next.Index = nil, 100
	if err := h.worker.views.offer(next); err != nil {
		t.Fatal(err)
	}
	if !h.bucket.closed.Load() {
		t.Error("the store of a removed mount is open")
	}
	key.Mount = "m1"
	if a, _ := h.get(client, key, 0, 999); a.code() != wire.CodeUnknownMount {
		t.Errorf("a removed mount: %d %s", a.status, a.body)
	}
}

// TestDiskOfAnotherWorker checks that a worker with the disk of another one
// registers with a new id and keeps it.
func TestDiskOfAnotherWorker(t *testing.T) {
	dir := t.TempDir()
	if err := (identityFile{Format: idFormat, ID: "theirs", ClusterID: "c1"}).save(dir); err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, func(h *harness) { h.config.DataDir, h.masters.taken = dir, "theirs" })
	h.ready()
	kept, err := loadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	h.masters.mu.Lock()
	defer h.masters.mu.Unlock()
	if len(h.masters.registered) == 0 || h.masters.registered[0].GetId() != kept.ID || kept.ID == "theirs" || kept.ClusterID != "c1" {
		t.Errorf("registered %v, kept %+v", h.masters.registered, kept)
	}
}

// TestReports checks the report that masters receive.
func TestReports(t *testing.T) {
	h := newHarness(t).ready()
	client := h.client(mtls.Fuse, false)
	key := h.bucket.put("a", 1, 300_000)
	h.mustGet(client, key, 0, 299_999)
	h.mustGet(client, key, 0, 99)
	eventually(t, "the report is complete", func() bool {
		r := h.masters.last()
		return r.GetStoreBytes() == 300_000 && r.GetMisses() == 1 && r.GetHits() >= 1 && r.GetViewIndex() == 5 && r.GetRingEpoch() == 2 &&
			len(r.GetTiers()) == 1 && r.GetTiers()[0].GetUsed() > 300_000 && r.GetTiers()[0].GetSealedFiles() == 1 &&
			len(r.GetMounts()) == 1 && r.GetMounts()[0].GetObjects() == 7
	})
	h.masters.mu.Lock()
	defer h.masters.mu.Unlock()
	member := h.masters.registered[0]
	if member.GetName() != workerName || member.GetPort() != 18005 || member.GetWeight() != 256<<20 || member.GetId() == "" {
		t.Errorf("registered as %v", member)
	}
}

// TestReportsRecentReads moves the clock past the window after a cold read.
func TestReportsRecentReads(t *testing.T) {
	var passed atomic.Int64
	h := newHarness(t, func(h *harness) {
		h.now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	}).ready()
	recent := func(what string, hits, misses, hitBytes, missBytes uint64) {
		t.Helper()
		eventually(t, what, func() bool {
			r := h.masters.last().GetRecent()
			return r.GetHits() == hits && r.GetMisses() == misses && r.GetHitBytes() == hitBytes && r.GetMissBytes() == missBytes &&
				r.GetWindow().AsDuration() == blockstore.RecentWindow
		})
	}
	client := h.client(mtls.Fuse, false)
	key := h.bucket.put("a", 1, 300_000)
	h.mustGet(client, key, 0, 299_999)
	recent("the report has the cold read", 0, 1, 0, 300_000)
	passed.Add(int64(blockstore.RecentWindow))
	h.mustGet(client, key, 0, 99_999)
	recent("the report has only the read of cached bytes", 1, 0, 100_000, 0)
	if r := h.masters.last(); r.GetMissBytes() != 300_000 || r.GetHitBytes() != 100_000 {
		t.Errorf("the totals are %d bytes of hits and %d of misses", r.GetHitBytes(), r.GetMissBytes())
	}
	passed.Add(int64(blockstore.RecentWindow))
	recent("the report has no reads", 0, 0, 0, 0)
}

// TestEveryCallByEveryRole checks the table of rights.
func TestEveryCallByEveryRole(t *testing.T) {
	h := newHarness(t).ready()
	h.directory.entries = map[string]*workerv1.Entry{"/a": {Name: []byte("a")}}
	roles := []mtls.Role{mtls.Fuse, mtls.Worker, mtls.Admin, mtls.Master, "other"}
	calls := []struct {
		name    string
		allowed string // F W A M
		call    func(ctx context.Context, conn *grpc.ClientConn) error
	}{
		{"Lookup", "FWAM", func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := workerv1.NewDirectoryClient(c).Lookup(ctx, &workerv1.LookupRequest{MountId: "m1", Name: []byte("a")})
			return err
		}},
		{"List", "FWAM", func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := workerv1.NewDirectoryClient(c).List(ctx, &workerv1.ListRequest{MountId: "m1"})
			return err
		}},
		{"Forget", "FWA", func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := workerv1.NewDirectoryClient(c).Forget(ctx, &workerv1.ForgetRequest{MountId: "m1", Name: []byte("a")})
			return err
		}},
		{"GetView", "FWAM", func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := workerv1.NewCacheClient(c).GetView(ctx, &workerv1.GetViewRequest{})
			return err
		}},
		{"GetEpochs", "FWAM", func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := workerv1.NewCacheClient(c).GetEpochs(ctx, &workerv1.GetEpochsRequest{})
			return err
		}},
		{"Status", "WAM", func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := workerv1.NewCacheClient(c).Status(ctx, &workerv1.StatusRequest{})
			return err
		}},
		{"health", "FWAM", func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := healthv1.NewHealthClient(c).Check(ctx, &healthv1.HealthCheckRequest{})
			return err
		}},
	}
	for _, role := range roles {
		conn := h.dial(role)
		letter := strings.ToUpper(string(role[:1]))
		for _, c := range calls {
			t.Run(fmt.Sprintf("%s by %s", c.name, role), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				err := c.call(ctx, conn)
				if got, want := err == nil, strings.Contains(c.allowed, letter); got != want {
					t.Errorf("allowed: %v, want %v (%v)", got, want, err)
				}
			})
		}
		t.Run(fmt.Sprintf("bytes by %s", role), func(t *testing.T) {
			key := h.bucket.put("r", 1, 10)
			a, err := h.get(h.client(role, false), key, 0, 9)
			if got, want := err == nil && a.status == http.StatusPartialContent, strings.Contains("FWAM", letter); got != want {
				t.Errorf("allowed: %v, want %v (%v)", got, want, err)
			}
		})
	}
	covered := map[string]bool{}
	for method := range Rights() {
		for _, c := range calls {
			if strings.HasSuffix(method, "/"+c.name) {
				covered[c.name] = true
			}
		}
	}
	if len(covered) != len(calls)-1 { // health is called Check
		t.Errorf("the table covers %v", covered)
	}
}

func TestNoCertificateNoResponse(t *testing.T) {
	h := newHarness(t).ready()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}}
	defer transport.CloseIdleConnections()
	key := h.bucket.put("a", 1, 10)
	if a, err := h.get(&http.Client{Transport: transport}, key, 0, 9); err == nil {
		t.Errorf("status %d", a.status)
	}
}

// TestNames checks the responses for names and the status of each error.
func TestNames(t *testing.T) {
	h := newHarness(t).ready()
	h.directory.entries = map[string]*workerv1.Entry{"d/a": {Name: []byte("a"), Size: 7}}
	client := workerv1.NewDirectoryClient(h.dial(mtls.Fuse))
	got, err := client.Lookup(t.Context(), &workerv1.LookupRequest{MountId: "m1", Directory: []byte("/d/"), Name: []byte("a")})
	if err != nil || !got.GetFound() || got.GetEntry().GetSize() != 7 || got.GetEpochs().GetRing() != 2 || got.GetEpochs().GetMount() != 3 || got.GetAge().AsDuration() != time.Second {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := client.Lookup(t.Context(), &workerv1.LookupRequest{MountId: "m1", Directory: []byte("d"), Name: []byte("b")}); err != nil || got.GetFound() {
		t.Errorf("an absent name: %v, %v", got, err)
	}
	if list, err := client.List(t.Context(), &workerv1.ListRequest{MountId: "m1", Directory: []byte("d")}); err != nil || len(list.GetEntries()) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	for _, c := range []struct {
		request *workerv1.LookupRequest
		err     error
		code    codes.Code
	}{
		{&workerv1.LookupRequest{MountId: "nope", Name: []byte("a")}, nil, codes.NotFound},
		{&workerv1.LookupRequest{MountId: "m1", Name: []byte("")}, nil, codes.InvalidArgument},
		{&workerv1.LookupRequest{MountId: "m1", Name: []byte("a/b")}, nil, codes.InvalidArgument},
		{&workerv1.LookupRequest{MountId: "m1", Name: []byte("a")}, ufs.ErrPermission, codes.PermissionDenied},
		{&workerv1.LookupRequest{MountId: "m1", Name: []byte("a")}, ufs.ErrThrottled, codes.ResourceExhausted},
		{&workerv1.LookupRequest{MountId: "m1", Name: []byte("a")}, ufs.ErrUnavailable, codes.Unavailable},
		{&workerv1.LookupRequest{MountId: "m1", Name: []byte("a")}, ufs.ErrNotFound, codes.Unavailable},
		{&workerv1.LookupRequest{MountId: "m1", Name: []byte("a")}, ufs.ErrNoBucket, codes.Unavailable},
	} {
		h.directory.mu.Lock()
		h.directory.err = c.err
		h.directory.mu.Unlock()
		if _, err := client.Lookup(t.Context(), c.request); status.Code(err) != c.code {
			t.Errorf("%v with %v: %v, want %s", c.request, c.err, err, c.code)
		}
	}
}

// socketDir returns a directory whose path is short enough for sockets.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "jindo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestNewOwnerReadsFromThePreviousOne checks that a new owner reads from the previous
// one before the store, and works without it.
func TestNewOwnerReadsFromThePreviousOne(t *testing.T) {
	previous := newHarness(t).ready()
	key := previous.bucket.put("a", 1, 300_000)
	previous.mustGet(previous.client(mtls.Fuse, false), key, 0, 299_999)
	// The new owner is another worker of the same runtime, in a ring in which
	// it owns everything.
	const name = "hadoop-jindofs-worker-1"
	address := previous.worker.Addr().String()
	colon := strings.LastIndex(address, ":")
	var port uint32
	if _, err := fmt.Sscan(address[colon+1:], &port); err != nil {
		t.Fatal(err)
	}
	view := oneMount()
	view.PreviousRings = []*commonv1.Ring{{Epoch: 2, Members: []*commonv1.RingMember{{Name: workerName, Host: "127.0.0.1", Port: port, Weight: 1}}}}
	view.Ring = &commonv1.Ring{Epoch: 3, Members: []*commonv1.RingMember{{Name: name, Host: "127.0.0.1", Port: 1, Weight: 1}}}
	next := newHarness(t, func(h *harness) {
		h.authority, h.masters.view = previous.authority, view
		h.config.Name, h.config.Identity = name, h.identity(mtls.Worker, name)
	}).ready()
	next.name = name
	other := next.bucket.put("b", 2, 300_000)
	next.bucket.put("a", 1, 300_000)
	client := next.client(mtls.Fuse, false)
	next.mustGet(client, key, 0, 299_999)
	if gets := next.bucket.gets.Load(); gets != 0 {
		t.Errorf("the store received %d requests for bytes that the previous owner has", gets)
	}
	next.mustGet(client, other, 0, 299_999) // the previous owner does not have it
	previous.stop()
	previous.openBlocks(t.TempDir())
	previous.start() // for the clean-up; its new port is not in any view
	last := next.bucket.put("c", 3, 300_000)
	next.mustGet(client, last, 0, 299_999)
}

// TestCopyForUnreachableOwnerExpires checks that a worker keeps what it fetches for an unreachable owner
// for a short time only.
func TestCopyForUnreachableOwnerExpires(t *testing.T) {
	h := newHarness(t, func(h *harness) {
		h.masters.view.Ring.Members = append(h.masters.view.Ring.Members,
			&commonv1.RingMember{Name: "hadoop-jindofs-worker-1", Host: "127.0.0.1", Port: 1, Weight: 1 << 30})
	}).ready()
	client := h.client(mtls.Fuse, false)
	r := ring.New(h.masters.view.GetRing())
	var theirs, ours blockstore.Key
	for i := 0; theirs.Key == "" || ours.Key == ""; i++ {
		key := h.bucket.put(fmt.Sprint("k", i), uint64(i), 1000)
		if r.Order(ring.ObjectKey(key.Mount, key.Key, key.ETag, key.Size, 0))[0].GetName() == workerName {
			ours = key
		} else {
			theirs = key
		}
	}
	for _, key := range []blockstore.Key{ours, theirs} {
		h.mustGet(client, key, 0, 999)
	}
	eventually(t, "both are cached", func() bool { return h.blocks.Stats().Tiers[0].Sealed == 2 })
	h.blocks.Expire(time.Now().Add(time.Hour))
	if a, _ := h.get(client, theirs, 0, 999, wire.HeaderOnlyIfCached, "1"); a.code() != wire.CodeNotCached {
		t.Errorf("a copy for another worker did not expire: %d %s", a.status, a.body)
	}
	h.mustGet(client, ours, 0, 999, wire.HeaderOnlyIfCached, "1")
}
