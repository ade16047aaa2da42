//go:build linux

package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	cache "github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// masters return a view with an index; 0 blocks until the context ends.
type masters struct{ index atomic.Uint64 }

func (m *masters) View(ctx context.Context) (*commonv1.ClusterView, error) {
	if index := m.index.Load(); index > 0 {
		return &commonv1.ClusterView{ClusterId: "c", Index: index}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestFirstServerWaitsForMasters checks that the first server of a mount updates
// its view from the masters, and that a successor does not wait for them.
func TestFirstServerWaitsForMasters(t *testing.T) {
	authority, err := mtls.NewAuthority("ns/hadoop")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(mtls.Peer{Role: mtls.Fuse, Name: "f"}, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := mtls.NewIdentity(pair)
	if err != nil {
		t.Fatal(err)
	}
	known := &masters{}
	known.index.Store(1)
	workers, err := cache.New(cache.Config{
		Topology: topology.Topology{Name: "hadoop", ClusterID: "c"}, Identity: identity, Masters: known, Poll: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = workers.Close() })
	if err := workers.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	m := &mount{workers: workers, hasMasters: true, log: slog.New(slog.NewTextHandler(&logs, nil))}
	known.index.Store(2)
	m.waitForMasters(t.Context(), &fusefd.Attachment{Generation: 1})
	if got := workers.View().GetIndex(); got != 2 {
		t.Errorf("the first server starts with view %d, want 2", got)
	}
	known.index.Store(0)
	m.waitForMasters(t.Context(), &fusefd.Attachment{Generation: 2})
	if logs.Len() > 0 {
		t.Errorf("a successor waited for the masters: %s", &logs)
	}
	m.hasMasters = false
	m.waitForMasters(t.Context(), &fusefd.Attachment{Generation: 1})
	if logs.Len() > 0 {
		t.Errorf("the server of a runtime without masters waited for them: %s", &logs)
	}
}

func TestReadyWithoutAMount(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "session.sock")
	m := &mount{options: options{sessionSocket: socket}}
	if err := m.ready(); err != nil {
		t.Errorf("not ready without a mount: %v", err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if m.ready() == nil {
		t.Error("ready while a mount is not served")
	}
}

func TestMetricsAreUnregisteredWithTheirMount(t *testing.T) {
	registry := prometheus.NewRegistry()
	for range 2 {
		s := &scopedRegistry{Registerer: registry}
		s.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}), prometheus.NewCounter(prometheus.CounterOpts{Name: "y"}))
		if got, err := registry.Gather(); err != nil || len(got) != 2 {
			t.Errorf("got %d metric families, want 2; error %v", len(got), err)
		}
		s.unregisterAll()
	}
	if got, err := registry.Gather(); err != nil || len(got) != 0 {
		t.Errorf("%d metric families are still registered; error %v", len(got), err)
	}
}
