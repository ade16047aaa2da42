package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/cache/dirstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// conn returns a connection of a FUSE server to the worker.
func (h *harness) conn() *grpc.ClientConn {
	h.t.Helper()
	conn, err := h.identity(mtls.Fuse, "fuse-0").Dial(h.worker.Addr().String(), mtls.Worker, h.name)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A page of the longest names, keys and tags fits a message.
func TestPagesAreBoundedInBytes(t *testing.T) {
	h := newHarness(t).ready()
	entries := map[string]*workerv1.Entry{}
	for i := range maxPage {
		name := fmt.Sprintf("%0*d", wire.MaxName, i)
		entries[name] = &workerv1.Entry{
			Name: []byte(name), Key: []byte(strings.Repeat("k", wire.MaxKey)), Etag: []byte(strings.Repeat("\xff", wire.MaxETag)),
		}
	}
	h.directory.mu.Lock()
	h.directory.entries = entries
	h.directory.mu.Unlock()
	list, err := workerv1.NewDirectoryClient(h.conn()).List(t.Context(), &workerv1.ListRequest{MountId: "m1"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(list.GetEntries()); !list.GetMore() || n < 100 || proto.Size(list) > 2*maxPageBytes {
		t.Errorf("a page of %d entries and %d bytes, more: %v", n, proto.Size(list), list.GetMore())
	}
	one := []*workerv1.Entry{{Name: make([]byte, 2*maxPageBytes)}, {}}
	if page, cut := fitting(one); len(page) != 1 || !cut {
		t.Errorf("a page of a large entry has %d entries, cut: %v", len(page), cut)
	}
}

// waitingDirectory waits for the end of the request.
type waitingDirectory struct{ *directory }

func (w waitingDirectory) Lookup(ctx context.Context, _ dirstore.Mount, _, _ string) (dirstore.LookupResult, error) {
	<-ctx.Done()
	return dirstore.LookupResult{}, ctx.Err()
}

// A worker that waits for the store sends the header of its response, so that the
// client does not take it for one that hangs.
func TestWaitingRequestGetsAHeader(t *testing.T) {
	h := newHarness(t, func(h *harness) { h.config.Directory = waitingDirectory{h.directory} }).ready()
	conn := h.conn()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{}, workerv1.Directory_Lookup_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&workerv1.LookupRequest{MountId: "m1", Name: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var header metadata.MD
	if header, err = stream.Header(); err != nil || header == nil {
		t.Errorf("the header is %v, %v", header, err)
	}
}

// cachingDirectory has cached the name "a" of every directory.
type cachingDirectory struct{ waitingDirectory }

func (cachingDirectory) LookupCached(_ dirstore.Mount, _, name string) (dirstore.LookupResult, bool) {
	return dirstore.LookupResult{Found: name == "a"}, name == "a"
}

func (cachingDirectory) ListCached(_ dirstore.Mount, dir, _ string, _ int) (dirstore.Listing, bool) {
	return dirstore.Listing{More: dir == "a"}, dir == "a"
}

// Requests for cached names return at once while the store hangs.
func TestOnlyCachedNames(t *testing.T) {
	h := newHarness(t, func(h *harness) { h.config.Directory = cachingDirectory{waitingDirectory{h.directory}} }).ready()
	client := workerv1.NewDirectoryClient(h.conn())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, cached := range map[string]bool{"a": true, "b": false} {
		found, err := client.Lookup(ctx, &workerv1.LookupRequest{MountId: "m1", Name: []byte(name), OnlyIfCached: true})
		if cached != (err == nil && found.GetFound()) || !cached && wire.ReasonOf(err) != wire.CodeNotCached {
			t.Errorf("lookup of %s: found %v, error %v", name, found.GetFound(), err)
		}
		list, err := client.List(ctx, &workerv1.ListRequest{MountId: "m1", Directory: []byte(name), OnlyIfCached: true})
		if cached != (err == nil && list.GetMore()) || !cached && wire.ReasonOf(err) != wire.CodeNotCached {
			t.Errorf("list of %s: %v, error %v", name, list, err)
		}
	}
}

func TestTotalsOfAMount(t *testing.T) {
	h := newHarness(t, func(h *harness) { h.config.Registry = prometheus.NewRegistry() }).ready()
	h.totals(7)
	client := workerv1.NewCacheClient(h.conn())
	got, err := client.GetTotals(t.Context(), &workerv1.GetTotalsRequest{MountId: "m1"})
	if err != nil || got.GetTotals().GetObjects() != 7 || got.GetTotals().GetBytes() != 70 || !got.GetTotals().GetAtLeast() || got.GetTotals().GetHidden() != 3 || got.GetEpochs().GetMount() != 3 {
		t.Errorf("got %v, %v", got, err)
	}
	if m := h.masters.last().GetMounts()[0]; !m.GetAtLeast() || m.GetHidden() != 3 {
		t.Errorf("the report has %v", m)
	}
	families, err := h.config.Registry.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]float64{}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "jindo_worker_mount_") {
			exported[family.GetName()] = family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	if exported["jindo_worker_mount_objects"] != 7 || exported["jindo_worker_mount_hidden_keys"] != 3 {
		t.Errorf("the metrics are %v", exported)
	}
	if _, err := client.GetTotals(t.Context(), &workerv1.GetTotalsRequest{MountId: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown mount: %v", err)
	}
}

// An error that quotes a name is a status that can be sent, with its reason, and a
// heartbeat that reports it can be sent too.
func TestErrorsThatQuoteNames(t *testing.T) {
	h := newHarness(t).ready()
	h.directory.mu.Lock()
	h.directory.err = fmt.Errorf("open /data/\xff\n%s: %w", strings.Repeat("x", 1<<20), ufs.ErrConnectionRefused)
	h.directory.mu.Unlock()
	_, err := workerv1.NewDirectoryClient(h.conn()).Lookup(t.Context(), &workerv1.LookupRequest{MountId: "m1", Name: []byte("\xff")})
	if status.Code(err) != codes.Unavailable || wire.ReasonOf(err) != wire.CodeStoreRefused || !strings.Contains(err.Error(), `/data/\xff`) {
		t.Errorf("the error is %.200v with reason %q", err, wire.ReasonOf(err))
	}
	eventually(t, "the masters receive the error", func() bool {
		mounts := h.masters.last().GetMounts()
		return len(mounts) == 1 && strings.Contains(mounts[0].GetError(), `/data/\xff`)
	})
	if _, err := proto.Marshal(h.masters.last()); err != nil {
		t.Error(err)
	}
	// A request that the store rejects says nothing about the mount.
	entry := h.worker.mounts.get("m1")
	entry.note(nil)
	entry.note(fmt.Errorf("key: %w", ufs.ErrInvalidKey))
	if err := entry.health(); err != nil {
		t.Errorf("the mount fails: %v", err)
	}
}
