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

// masters answer with a view of an index; 0 hangs.
type masters struct{ index atomic.Uint64 }

func (m *masters) View(ctx context.Context) (*commonv1.ClusterView, error) {
	if index := m.index.Load(); index > 0 {
		return &commonv1.ClusterView{ClusterId: "c", Index: index}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// A mount's first readers see what was mounted before they came; who reads
// already waits for nobody.
func TestFirstReadersSeeWhatIsMounted(t *testing.T) {
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
	var complaints bytes.Buffer
	m := &mount{workers: workers, masters: true, log: slog.New(slog.NewTextHandler(&complaints, nil))}
	known.index.Store(2)
	m.current(t.Context(), &fusefd.Attachment{Generation: 1})
	if got := workers.View().GetIndex(); got != 2 {
		t.Errorf("the first server begins with view %d", got)
	}
	known.index.Store(0)
	m.current(t.Context(), &fusefd.Attachment{Generation: 2})
	if complaints.Len() > 0 {
		t.Errorf("a successor waited for masters: %s", &complaints)
	}
	m.masters = false
	m.current(t.Context(), &fusefd.Attachment{Generation: 1})
	if complaints.Len() > 0 {
		t.Errorf("a runtime without masters waited for them: %s", &complaints)
	}
}

func TestReadyWithoutAMount(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "session.sock")
	m := &mount{options: options{sessionSocket: socket}}
	if err := m.ready(); err != nil {
		t.Errorf("no mount is given: %v", err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if m.ready() == nil {
		t.Error("ready though a mount waits")
	}
}

func TestMetricsOfOneMountEndWithIt(t *testing.T) {
	registry := prometheus.NewRegistry()
	for range 2 {
		s := &session{Registerer: registry}
		s.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}), prometheus.NewCounter(prometheus.CounterOpts{Name: "y"}))
		if got, err := registry.Gather(); err != nil || len(got) != 2 {
			t.Errorf("%d families, %v", len(got), err)
		}
		s.end()
	}
	if got, err := registry.Gather(); err != nil || len(got) != 0 {
		t.Errorf("%d families are left, %v", len(got), err)
	}
}
