package main

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// BenchmarkThreeMasters measures commands and linearizable reads of many
// clients at three real masters, all on one machine.
func BenchmarkThreeMasters(b *testing.B) {
	if os.Getenv("JINDO_LONG") == "" {
		b.Skip("set JINDO_LONG=1 to start masters for a benchmark")
	}
	c := newCluster(b, 3)
	for i := range 3 {
		c.start(i)
	}
	c.settled()
	c.mount("/data")
	for _, clients := range []int{1, 16, 64} {
		all := make([]*client.Client, clients)
		for i := range all {
			all[i] = c.client(mtls.Peer{Role: mtls.Admin, Name: fmt.Sprintf("bench-%d", i)})
		}
		run := func(name string, call func(who *client.Client) error) {
			b.Run(fmt.Sprintf("%s by %d", name, clients), func(b *testing.B) {
				var wait sync.WaitGroup
				for i, who := range all {
					wait.Go(func() {
						for range b.N/clients + min(1, max(0, b.N%clients-i)) {
							if err := call(who); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wait.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			})
		}
		run("Invalidate", func(who *client.Client) error {
			_, err := who.Invalidate(b.Context(), "/data")
			return err
		})
		run("View", func(who *client.Client) error {
			_, err := who.View(b.Context())
			return err
		})
	}
}
