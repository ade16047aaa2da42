package consensus

import (
	"context"
	"testing"
)

// benchCluster starts three members with the default durations, over TLS, with
// real disks.
func benchCluster(b *testing.B) *Node {
	c := newCluster(b, 3, func(c *Config) { c.Heartbeat, c.Election, c.Lease = 0, 0, 0 })
	c.startAll()
	return c.members[c.whole()].node
}

func BenchmarkPropose(b *testing.B) {
	command := make([]byte, 200)
	for name, parallelism := range map[string]int{"one": 0, "many": 128} {
		b.Run(name, func(b *testing.B) {
			node := benchCluster(b)
			propose := func() {
				if _, _, err := node.Propose(context.Background(), command); err != nil {
					b.Error(err)
				}
			}
			if parallelism == 0 {
				for b.Loop() {
					propose()
				}
				return
			}
			b.SetParallelism(parallelism)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					propose()
				}
			})
		})
	}
}

func BenchmarkReadIndex(b *testing.B) {
	for name, parallelism := range map[string]int{"one": 0, "many": 128} {
		b.Run(name, func(b *testing.B) {
			node := benchCluster(b)
			read := func() {
				if _, err := node.ReadIndex(context.Background()); err != nil {
					b.Error(err)
				}
			}
			if parallelism == 0 {
				for b.Loop() {
					read()
				}
				return
			}
			b.SetParallelism(parallelism)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					read()
				}
			})
		})
	}
}

// BenchmarkFailover measures the time from the end of a leader that transfers
// nothing to the first command that its successor has committed.
func BenchmarkFailover(b *testing.B) {
	c := newCluster(b, 3, func(c *Config) { c.Heartbeat, c.Election, c.Lease = 0, 0, 0 })
	c.startAll()
	for b.Loop() {
		b.StopTimer()
		leader := c.whole()
		killed := c.members[leader]
		// Its connections end immediately, as those of a killed process do.
		_ = killed.node.transport.Close()
		b.StartTimer()
		c.kill(leader)
		c.propose("x")
		b.StopTimer()
		c.start(leader)
		b.StartTimer()
	}
}
