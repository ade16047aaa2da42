package server

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/transport"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// lent returns the bytes of the sealed file that a worker lends, or nil.
func lent(h *harness, key blockstore.Key) []byte {
	loan, err := h.blocks.Lend(key)
	if err != nil {
		return nil
	}
	defer loan.Return()
	data := make([]byte, key.Size)
	if n, err := syscall.Pread(int(loan.Fd()), data, 0); err != nil || n != len(data) {
		return nil
	}
	return data
}

// TestHerdOnThreeNodes reads one cold object with 32 readers on three nodes. The store sends its
// bytes once, and each node ends with a sealed copy that no further byte is read for.
func TestHerdOnThreeNodes(t *testing.T) {
	const size, perNode = 24*stripe + 777, 11
	c := newCluster(t, 3, stripe)
	key := c.bucket.put("large", 1, size)
	want := c.bucket.get("large")
	var reading sync.WaitGroup
	for node := range 3 {
		reader := c.client(node)
		for i := range perNode {
			if node == 2 && i == perNode-1 {
				break // 32
			}
			reading.Go(func() {
				for offset := int64(0); offset < size; offset += 200_000 {
					n := min(200_000, size-offset)
					got, err := read(t.Context(), reader, key, offset, n)
					if err != nil || !bytes.Equal(got, want[offset:offset+n]) {
						t.Errorf("read at %d: %v", offset, err)
						return
					}
				}
			})
		}
	}
	reading.Wait()
	for _, h := range c.workers {
		eventually(t, "the node has a sealed copy", func() bool { return lent(h, key) != nil })
		if !bytes.Equal(lent(h, key), want) {
			t.Errorf("the copy of %s has other bytes", h.name)
		}
	}
	if sent := c.bucket.sent.Load(); sent > size*105/100 {
		t.Errorf("the store sent %d bytes for an object of %d", sent, size)
	}
}

// TestCopyOfASingleStripe checks that an object that another node owns is copied once
// it is read a second time, counted apart, and that the copy is lent.
func TestCopyOfASingleStripe(t *testing.T) {
	c := newCluster(t, 2, 0)
	const size = 500_000
	var key blockstore.Key
	v := c.workers[1].worker.views.load()
	for i := uint64(0); key.Key == "" || v.owns(c.workers[1].name, v.nameOf(key, 0)); i++ {
		key = c.bucket.put("small", i, size)
	}
	reader := c.client(1)
	c.mustRead(reader, key, 0, size)
	if n := reader.Counts().Copies; n != 0 {
		t.Errorf("%d copies after the first read", n)
	}
	c.later()
	c.mustRead(reader, key, 0, size)
	copied := c.workers[1]
	eventually(t, "the node has a sealed copy", func() bool { return lent(copied, key) != nil })
	if sent := c.bucket.sent.Load(); sent != size {
		t.Errorf("the store sent %d bytes for an object of %d", sent, size)
	}
	if stats := copied.blocks.Stats(); stats.Tiers[0].Copies < size || stats.FetchedBytes != size {
		t.Errorf("the copy is counted as %+v", stats.Tiers[0])
	}
	if stats := c.workers[0].blocks.Stats(); stats.Tiers[0].Copies != 0 {
		t.Errorf("the owner counts %d bytes of copies", stats.Tiers[0].Copies)
	}
}

// TestReplacedDuringAssembly checks that a copy of a version that is replaced while
// it is assembled is never sealed with bytes of another version.
func TestReplacedDuringAssembly(t *testing.T) {
	const size = 16 * stripe
	c := newCluster(t, 3, stripe)
	before := c.bucket.put("large", 1, size)
	old := c.bucket.get("large")
	reader := c.client(0)
	c.mustRead(reader, before, 0, size/4)
	c.mustRead(reader, before, size/4, 1) // requests the copy
	after := c.bucket.put("large", 2, size)
	for offset := int64(0); offset < size; offset += stripe / 2 {
		got, err := read(t.Context(), reader, before, offset, stripe/2)
		if err == nil && !bytes.Equal(got, old[offset:offset+stripe/2]) {
			t.Fatalf("read at %d returned bytes of another version", offset)
		}
		if err != nil && !errors.Is(err, client.ErrStale) {
			t.Errorf("read at %d: %v", offset, err)
		}
	}
	c.mustRead(reader, after, 0, size)
	for _, h := range c.workers {
		eventually(t, "assemblies have ended", func() bool { return h.worker.copies.idle() })
		if got := lent(h, before); got != nil && !bytes.Equal(got, old) {
			t.Errorf("%s has sealed a mixture", h.name)
		}
	}
	eventually(t, "the new version is copied", func() bool { return lent(c.workers[0], after) != nil })
	if !bytes.Equal(lent(c.workers[0], after), c.bucket.get("large")) {
		t.Error("the copy of the new version has other bytes")
	}
}

// TestAssemblyIsInterrupted checks that a copy is completed although the worker that
// assembles it, or an owner, is restarted in between, and that the store then sends
// only what the restarted worker had not written.
func TestAssemblyIsInterrupted(t *testing.T) {
	for name, restarted := range map[string]int{"assembling worker": 0, "owner": 1} {
		t.Run(name, func(t *testing.T) {
			const size = 24 * stripe
			c := newCluster(t, 2, stripe)
			key := c.bucket.put("large", 1, size)
			h := c.workers[restarted]
			reader := c.client(0)
			c.mustRead(reader, key, 0, size/3) // requests the copy
			h.stop()
			dir := h.tier
			h.openBlocks(dir)
			h.start()
			c.publish()
			eventually(t, "the copy is complete", func() bool {
				c.later()
				c.mustRead(reader, key, 0, stripe)
				return lent(c.workers[0], key) != nil
			})
			if !bytes.Equal(lent(c.workers[0], key), c.bucket.get("large")) {
				t.Error("the copy has other bytes")
			}
			if sent := c.bucket.sent.Load(); sent > 2*size {
				t.Errorf("the store sent %d bytes for an object of %d", sent, size)
			}
		})
	}
}

// TestCopyWithoutRoom checks that the assembly of a copy ends, and does not read the
// object again and again, if there is no room for its bytes.
func TestCopyWithoutRoom(t *testing.T) {
	const size = 8 * stripe
	c := newCluster(t, 2, 0, func(h *harness) { h.quota = 4 * size })
	h := c.workers[1]
	v := h.worker.views.load()
	var key blockstore.Key
	for i := uint64(0); key.Key == "" || v.owns(h.name, v.nameOf(key, 0)); i++ {
		key = c.bucket.put("copied", i, size)
	}
	// What the worker owns fills its tier above the low watermark.
	for i := 0; h.blocks.Stats().Tiers[0].Used < 4*size*93/100; i++ {
		own := c.bucket.put(fmt.Sprint("own", i), uint64(i), size/16)
		if v.owns(h.name, v.nameOf(own, 0)) {
			h.mustGet(h.client(mtls.Fuse, false), own, 0, own.Size-1)
		}
	}
	owner := c.workers[0]
	c.mustRead(c.client(0), key, 0, size)
	sent := owner.blocks.Stats().HitBytes
	if !h.worker.copies.start(key) {
		t.Fatal("the copy was not started")
	}
	eventually(t, "the assembly has ended", func() bool { return h.worker.copies.idle() })
	if h.blocks.Complete(key) {
		t.Error("a copy took the room of owned versions")
	}
	if again := owner.blocks.Stats().HitBytes - sent; again > 2*size {
		t.Errorf("%d bytes were read for a copy of %d that there is no room for", again, size)
	}
}

// TestCopiesAreRefused checks who may have copies made, and that too large ones are
// not.
func TestCopiesAreRefused(t *testing.T) {
	c := newCluster(t, 2, stripe)
	h := c.workers[0]
	key := c.bucket.put("large", 1, 4*stripe)
	huge := blockstore.Key{Mount: "m1", Key: "huge", ETag: "x", Size: 1 << 40}
	for _, test := range []struct {
		name   string
		socket bool
		key    blockstore.Key
		grants []mtls.Grant
		status int
	}{
		{"over the port", false, key, nil, http.StatusForbidden},
		{"another mount", true, key, []mtls.Grant{{Path: "/other"}}, http.StatusForbidden},
		{"too large", true, huge, nil, http.StatusInsufficientStorage},
		{"unknown mount", true, blockstore.Key{Mount: "m9", Key: "a", ETag: "x", Size: 10}, nil, http.StatusNotFound},
		{"allowed", true, key, []mtls.Grant{{Path: "/hadoop"}}, http.StatusAccepted},
	} {
		t.Run(test.name, func(t *testing.T) {
			pair, err := h.authority.Issue(mtls.Peer{Role: mtls.Fuse, Name: "f"}, nil, time.Hour, test.grants...)
			if err != nil {
				t.Fatal(err)
			}
			identity, err := mtls.NewIdentity(pair)
			if err != nil {
				t.Fatal(err)
			}
			config := transport.Config{Identity: identity, Worker: h.name}
			if test.socket {
				config.SocketDir = h.config.SocketDir
			}
			bytes := transport.New(config)
			defer bytes.CloseIdleConnections()
			request, err := wire.NewCopyRequest(t.Context(), h.worker.Addr().String(), wire.BatchObject{
				Mount: test.key.Mount, Key: []byte(test.key.Key), ETag: []byte(test.key.ETag), Size: test.key.Size,
			})
			if err != nil {
				t.Fatal(err)
			}
			response, err := bytes.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != test.status {
				t.Errorf("status %d, want %d", response.StatusCode, test.status)
			}
		})
	}
	eventually(t, "the copy is complete", func() bool { return lent(h, key) != nil })
}
