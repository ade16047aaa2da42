package server

import (
	"net/http"
	"testing"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// BenchmarkWarm reads cached ranges over HTTPS, with client and worker in one
// process.
func BenchmarkWarm(b *testing.B) {
	for _, c := range []struct {
		name   string
		length int64
	}{{"4KiB", 4 << 10}, {"1MiB", 1 << 20}, {"8MiB", 8 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			h := newHarness(b).ready()
			client := h.client(mtls.Fuse, false)
			key := h.bucket.put("a", 1, 8<<20)
			h.mustGet(client, key, 0, key.Size-1)
			eventually(b, "it is sealed", func() bool { return h.blocks.Stats().Tiers[0].Sealed == 1 })
			b.SetBytes(c.length)
			for b.Loop() {
				if a, err := h.get(client, key, 0, c.length-1); err != nil || a.status != http.StatusPartialContent {
					b.Fatal(a.status, err)
				}
			}
		})
	}
}

// BenchmarkLookup measures one gRPC call over the shared port.
func BenchmarkLookup(b *testing.B) {
	h := newHarness(b).ready()
	client := workerv1.NewDirectoryClient(h.dial(mtls.Fuse))
	for b.Loop() {
		if _, err := client.Lookup(b.Context(), &workerv1.LookupRequest{MountId: "m1", Name: []byte("a")}); err != nil {
			b.Fatal(err)
		}
	}
}
