//go:build linux

package main

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// scopedRegistry registers the metrics of one mount and unregisters them when the
// mount ends. It is safe for concurrent use.
type scopedRegistry struct {
	prometheus.Registerer

	// mu guards collectors.
	mu         sync.Mutex
	collectors []prometheus.Collector
}

// Register registers a collector until unregisterAll.
func (s *scopedRegistry) Register(c prometheus.Collector) error {
	if err := s.Registerer.Register(c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collectors = append(s.collectors, c)
	return nil
}

// MustRegister is like Register for several collectors, but panics on an error.
func (s *scopedRegistry) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		if err := s.Register(c); err != nil {
			panic(err)
		}
	}
}

// unregisterAll unregisters all collectors.
func (s *scopedRegistry) unregisterAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.collectors {
		s.Unregister(c)
	}
	s.collectors = nil
}
