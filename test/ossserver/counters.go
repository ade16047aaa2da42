package ossserver

import (
	"maps"
	"sync"
)

// Counters count the requests since the server was made or last reset.
type Counters struct {
	// Requests, BytesOut and BytesIn (of bodies) by kind.
	Requests map[Kind]int64
	BytesOut map[Kind]int64
	BytesIn  map[Kind]int64
	// Statuses counts requests by HTTP status; 0 counts those without a response.
	Statuses map[int]int64
	// InFlight is the number of current requests, MaxInFlight the highest.
	InFlight    int
	MaxInFlight int
}

// Total returns the number of requests of all kinds.
func (c Counters) Total() int64 {
	total := int64(0)
	for _, n := range c.Requests {
		total += n
	}
	return total
}

type counts struct {
	mu  sync.Mutex
	now Counters
}

func (c *counts) begin(kind Kind) func(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready()
	c.now.Requests[kind]++
	c.now.InFlight++
	c.now.MaxInFlight = max(c.now.MaxInFlight, c.now.InFlight)
	return func(status int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ready()
		c.now.Statuses[status]++
		c.now.InFlight--
	}
}

// ready makes the maps. The caller holds c.mu.
func (c *counts) ready() {
	if c.now.Requests == nil {
		c.now.Requests, c.now.BytesOut, c.now.BytesIn = map[Kind]int64{}, map[Kind]int64{}, map[Kind]int64{}
		c.now.Statuses = map[int]int64{}
	}
}

func (c *counts) number(kind Kind) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Requests[kind]
}

func (c *counts) sent(kind Kind, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready()
	c.now.BytesOut[kind] += n
}

func (c *counts) received(kind Kind, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready()
	c.now.BytesIn[kind] += n
}

// Counters returns a copy of the counters.
func (s *Server) Counters() Counters {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	s.counts.ready()
	c := s.counts.now
	c.Requests, c.BytesOut, c.BytesIn = maps.Clone(c.Requests), maps.Clone(c.BytesOut), maps.Clone(c.BytesIn)
	c.Statuses = maps.Clone(c.Statuses)
	return c
}

// ResetCounters resets all counters except InFlight.
func (s *Server) ResetCounters() {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	s.counts.now = Counters{InFlight: s.counts.now.InFlight, MaxInFlight: s.counts.now.InFlight}
}
