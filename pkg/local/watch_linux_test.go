package local

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/test/ports"
)

// idle returns a supervisor that has not started its worker.
func idle(t *testing.T) *supervisor {
	t.Helper()
	spec := specOf(t, "true")
	s := &supervisor{spec: spec, layout: spec.Layout(), logger: discardLogger(), recheck: make(chan struct{}, 1)}
	for _, dir := range []string{s.layout.Dir, s.layout.logs()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.formation, err = NewFormation(); err != nil {
		t.Fatal(err)
	}
	if s.network, err = takeNetwork("", s.layout); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.network.close)
	if s.authority, err = openAuthority(s.layout); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCertificatesAreRenewed(t *testing.T) {
	s := idle(t)
	if err := issueAll(s.layout, s.authority, s.identities()); err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(s.layout.TLS(Admin), mtls.CertFile)
	first, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	recent := wallClock().Add(-time.Hour)
	if got := s.upkeep(recent); !got.Equal(recent) {
		t.Error("certificates that are an hour old were renewed")
	}
	if again, err := os.ReadFile(cert); err != nil || string(again) != string(first) {
		t.Errorf("the certificate changed, error %v", err)
	}
	if got := s.upkeep(wallClock().Add(renewBefore - certificateLife - time.Second)); time.Since(got) > time.Minute {
		t.Errorf("certificates with a third of their life left were not renewed: %v", got)
	}
	if again, err := os.ReadFile(cert); err != nil || string(again) == string(first) {
		t.Errorf("the certificate is the old one, error %v", err)
	}
	identity, err := mtls.LoadIdentity(s.layout.TLS("hadoop-jindofs-worker-1"))
	if err != nil || identity.Peer() != (mtls.Peer{Role: mtls.Worker, Name: "hadoop-jindofs-worker-1"}) {
		t.Errorf("the worker's certificate is of %v, error %v", identity.Peer(), err)
	}
}

func TestAuthorityIsReused(t *testing.T) {
	s := idle(t)
	again, err := openAuthority(s.layout)
	if err != nil || string(again.CertPEM()) != string(s.authority.CertPEM()) {
		t.Errorf("got another authority, error %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.layout.authorityDir(), mtls.CAFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openAuthority(s.layout); err == nil {
		t.Error("an authority that cannot be read was replaced")
	}
}

func TestFormedIsRecorded(t *testing.T) {
	s := idle(t)
	if s.formed() {
		t.Fatal("a new runtime is formed")
	}
	if err := s.setFormed(); err != nil || !s.formed() {
		t.Fatalf("formed %v, error %v", s.formed(), err)
	}
	read, err := loadFormation(s.layout)
	if err != nil || !read.Formed || read.ClusterID != s.formation.ClusterID {
		t.Errorf("read %+v, error %v", read, err)
	}
	// Only a runtime without a network in its masters' log may take another one.
	s.formation.Network = "127.254.254.0/24"
	n, err := s.takeNetwork()
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	if n.String() != s.formation.Network {
		t.Errorf("a formed runtime got network %s, its masters use %s", n, s.formation.Network)
	}
}

func TestCreatedMountsAreRecorded(t *testing.T) {
	s := idle(t)
	if err := s.noteMounts(union([]string{"/a"}, []string{"/b", "/a"})); err != nil {
		t.Fatal(err)
	}
	read, err := loadFormation(s.layout)
	if err != nil || strings.Join(read.Mounts, " ") != "/a /b" {
		t.Errorf("read %v, error %v", read.Mounts, err)
	}
}

func TestConditionsAreWrittenWhenTheyChange(t *testing.T) {
	s := idle(t)
	s.state = exampleState()
	s.state.Phase, s.state.Conditions = Starting, nil
	c := &checker{s: s}
	missing := []Condition{{Name: "leader", Detail: "none", Suspects: []string{"m"}}}
	c.record(missing, false)
	state, _, err := ReadState(s.layout)
	if err != nil || state.Phase != Starting || len(state.Missing()) != 1 {
		t.Fatalf("state %+v, error %v", state, err)
	}
	if err := os.Remove(s.layout.stateFile()); err != nil {
		t.Fatal(err)
	}
	c.record(missing, false)
	if _, found, _ := ReadState(s.layout); found {
		t.Error("an unchanged state was written")
	}
	c.record([]Condition{{Name: "leader", Met: true}}, true)
	c.record(missing, false)
	if state, _, err := ReadState(s.layout); err != nil || state.Phase != Ready || len(state.Missing()) != 1 {
		t.Errorf("state %+v, error %v: the phase must stay Ready, with the missing condition", state, err)
	}
}

func TestWorkersHaveDistinctAddresses(t *testing.T) {
	s := idle(t)
	seen := map[string]int{s.host(&plan.Component{Role: plan.RoleFuse}, 0): -1}
	for i := range maxWorkers {
		host := s.host(&plan.Component{Role: plan.RoleWorker}, i)
		if before, taken := seen[host]; taken {
			t.Fatalf("workers %d and %d share %s", before, i, host)
		}
		seen[host] = i
	}
	s.spec.Plan.Workers.Replicas = maxWorkers + 1
	if err := s.makeComponents(); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("error %v", err)
	}
}

func TestCheckReady(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("request for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("raft: no leader\nmount: none\n"))
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	if err := CheckReady(t.Context(), address); err != nil {
		t.Error(err)
	}
	status = http.StatusServiceUnavailable
	var notReady *NotReadyError
	if err := CheckReady(t.Context(), address); !errors.As(err, &notReady) || notReady.Reason != "raft: no leader; mount: none" {
		t.Errorf("error %v", err)
	}
	var responded *NotReadyError
	if err := CheckReady(t.Context(), fmt.Sprintf("127.0.0.1:%d", ports.Reserve(t))); err == nil || errors.As(err, &responded) {
		t.Errorf("closed port: error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := CheckReady(ctx, address); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestPurgeFailsWithMounts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not run: need root to mount")
	}
	l := NewLayout(t.TempDir(), "default", "hadoop")
	point := filepath.Join(l.Dir, "tiers", "x")
	if err := os.MkdirAll(point, 0o700); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, point)
	if err := purge(l); err == nil || !strings.Contains(err.Error(), "is mounted") {
		t.Errorf("error %v", err)
	}
	if found, _ := exists(point); !found {
		t.Error("the mount point was removed")
	}
}
