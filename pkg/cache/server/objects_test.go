package server

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
)

func TestBytes(t *testing.T) {
	h := newHarness(t).ready()
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			client := h.client(mtls.Fuse, h2)
			key := h.bucket.put(fmt.Sprintf("dir/ä b//%v?#%%", h2), 1, 300_000)
			a := h.mustGet(client, key, 0, 299_999)
			for name, want := range map[string]string{
				"Content-Range": "bytes 0-299999/300000", "Etag": `"` + key.ETag + `"`, wire.HeaderRingEpoch: "2", wire.HeaderMountEpoch: "3", wire.HeaderViewIndex: "5", wire.HeaderSource: "store",
			} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s is %q, not %q", name, got, want)
				}
			}
			eventually(t, "it is cached", func() bool {
				return h.mustGet(client, key, 5, 100, wire.HeaderOnlyIfCached, "1").header.Get(wire.HeaderSource) == "cache"
			})
			// A range past the end is cut there.
			if a, _ := h.get(client, key, 299_990, 400_000); a.status != http.StatusPartialContent || len(a.body) != 10 {
				t.Errorf("a range past the end: %d, %d bytes", a.status, len(a.body))
			}
		})
	}
}
