//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

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
