package ossserver

import (
	"maps"
	"sync"
)

// Counters say what a server was asked since it was made or last reset.
type Counters struct {
	// Requests, BytesOut and BytesIn (of bodies) by kind.
	Requests map[Kind]int64
	BytesOut map[Kind]int64
	BytesIn  map[Kind]int64
	// Statuses by HTTP status; 0 counts requests cut off without an answer.
	Statuses map[int]int64
	// InFlight now, and the most there ever were.
	InFlight    int
	MaxInFlight int
}

// Total of all kinds.
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

// ready makes the maps; c.mu is held.
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

// Counters answers a copy.
func (s *Server) Counters() Counters {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	s.counts.ready()
	c := s.counts.now
	c.Requests, c.BytesOut, c.BytesIn = maps.Clone(c.Requests), maps.Clone(c.BytesOut), maps.Clone(c.BytesIn)
	c.Statuses = maps.Clone(c.Statuses)
	return c
}

// ResetCounters starts counting anew; requests under way stay in flight.
func (s *Server) ResetCounters() {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	s.counts.now = Counters{InFlight: s.counts.now.InFlight, MaxInFlight: s.counts.now.InFlight}
}
