//go:build linux

package main

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// session registers the metrics of one mount, which end with it.
type session struct {
	prometheus.Registerer

	mu         sync.Mutex
	collectors []prometheus.Collector
}

// Register notes what is to be taken away.
func (s *session) Register(c prometheus.Collector) error {
	if err := s.Registerer.Register(c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collectors = append(s.collectors, c)
	return nil
}

// MustRegister panics as the registry's own does.
func (s *session) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		if err := s.Register(c); err != nil {
			panic(err)
		}
	}
}

func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.collectors {
		s.Unregister(c)
	}
	s.collectors = nil
}
