package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/dirstore"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// cluster is several workers of one store, each on a host of its own: with a
// directory of sockets of its own.
type cluster struct {
	t       *testing.T
	bucket  *bucket
	masters *masters
	workers []*harness
	// ahead is how far the clock of the clients is ahead.
	ahead atomic.Int64
}

// later sets the clock of the clients forward.
func (c *cluster) later() { c.ahead.Add(int64(time.Minute)) }

// newCluster starts workers in a ring with the given stripe size.
func newCluster(t *testing.T, n int, stripe int64, change ...func(*harness)) *cluster {
	t.Helper()
	view := oneMount()
	view.Ring = &commonv1.Ring{Epoch: 2, StripeSize: stripe}
	c := &cluster{t: t, bucket: newBucket(), masters: &masters{view: view}}
	for i := range n {
		name := fmt.Sprintf("hadoop-jindofs-worker-%d", i)
		c.workers = append(c.workers, newHarness(t, func(h *harness) {
			if i > 0 {
				h.authority = c.workers[0].authority
			}
			h.name, h.bucket, h.masters = name, c.bucket, c.masters
			h.config.Name, h.config.Masters, h.config.GracePeriod = name, c.masters, time.Second
			h.config.Identity, h.config.SocketDir = h.identity(mtls.Worker, name), socketDir(t)
			for _, f := range change {
				f(h)
			}
		}))
	}
	c.publish()
	return c
}

// publish makes the ring hold the addresses of the workers as they are.
func (c *cluster) publish() {
	c.t.Helper()
	c.masters.change(func(v *commonv1.ClusterView) {
		v.Ring.Epoch++
		v.Ring.Members = nil
		for _, h := range c.workers {
			v.Ring.Members = append(v.Ring.Members, &commonv1.RingMember{
				Name: h.name, Host: "127.0.0.1", Port: uint32(h.worker.Addr().(*net.TCPAddr).Port), Weight: 1,
			})
		}
	})
	for _, h := range c.workers {
		eventually(c.t, "the workers have the ring", func() bool {
			v := h.worker.views.load()
			return v != nil && v.GetIndex() == c.masters.index() && h.worker.Ready() == nil
		})
	}
}

// client returns a client on the host of a worker; on none of them if it is -1.
func (c *cluster) client(on int) *client.Client {
	c.t.Helper()
	h := c.workers[0]
	config := client.Config{
		Topology: topology.Topology{Name: "hadoop", ClusterID: "c1"}, Identity: h.identity(mtls.Fuse, "reader"), Masters: c.masters,
		Clock: func() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) },
	}
	for _, w := range c.workers {
		port := w.worker.Addr().(*net.TCPAddr).Port
		config.Topology.Workers = append(config.Topology.Workers, topology.Member{Name: w.name, Host: "127.0.0.1", Port: port})
	}
	if on >= 0 {
		config.SocketDir = c.workers[on].config.SocketDir
	}
	reader, err := client.New(config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = reader.Close() })
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	if err := reader.Wait(ctx); err != nil {
		c.t.Fatal(err)
	}
	return reader
}

// read reads a range as package reader does: from the first worker that has it.
func read(ctx context.Context, reader *client.Client, key blockstore.Key, offset, length int64) ([]byte, error) {
	o := client.Object{Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size}
	p := make([]byte, length)
	got := 0
	var failed []error
	for range 5 {
		for _, candidate := range reader.Candidates(o, offset+int64(got)) {
			n, _, err := reader.Fetch(ctx, candidate, o, offset+int64(got), client.Bytes(p[got:]), client.Terms{Silence: 20 * time.Second, Total: time.Minute})
			got += n
			if got == len(p) {
				return p, nil
			}
			if errors.Is(err, client.ErrStale) || errors.Is(err, client.ErrNotFound) || ctx.Err() != nil {
				return nil, err
			}
			if n > 0 {
				break
			}
			failed = append(failed, err)
		}
	}
	return nil, errors.Join(failed...)
}

func (c *cluster) mustRead(reader *client.Client, key blockstore.Key, offset, length int64) {
	c.t.Helper()
	got, err := read(c.t.Context(), reader, key, offset, length)
	if err != nil {
		c.t.Fatalf("read %s at %d: %v", key.Key, offset, err)
	}
	if !bytes.Equal(got, c.bucket.get(key.Key)[offset:offset+length]) {
		c.t.Fatalf("read %s at %d: wrong bytes", key.Key, offset)
	}
}

// cachedNames is a directory whose names are cached.
type cachedNames struct{ *directory }

func (d cachedNames) LookupCached(_ dirstore.Mount, _, _ string) (dirstore.LookupResult, bool) {
	return dirstore.LookupResult{}, false
}

// ListCached returns the entries after a name, sorted.
func (d cachedNames) ListCached(_ dirstore.Mount, _, after string, limit int) (dirstore.Listing, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var page dirstore.Listing
	for _, name := range sortedNames(d.entries) {
		if name <= after {
			continue
		}
		if len(page.Entries) == limit {
			page.More = true
			break
		}
		page.Entries = append(page.Entries, d.entries[name])
	}
	return page, true
}
