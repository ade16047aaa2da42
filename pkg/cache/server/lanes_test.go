package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// hungBody returns the first bytes of a body, and hangs after that until released
// is closed.
type hungBody struct {
	io.ReadCloser
	left     int
	released chan struct{}
}

func (b *hungBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		<-b.released
		return 0, errors.New("connection reset")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// twoMounts is a worker with few request slots whose mount m2 has the returned
// bucket as its store.
func twoMounts(t *testing.T, change func(*Config)) (*harness, *bucket) {
	t.Helper()
	second := newBucket()
	h := newHarness(t, func(h *harness) {
		h.masters.view.Mounts = append(h.masters.view.Mounts, &commonv1.Mount{Id: "m2", Name: "other", Path: "/other", Uri: "oss://other/", Epoch: 1, ReadOnly: true})
		h.config.MaxRequests = 8
		h.config.OpenStore = func(_ context.Context, mount *commonv1.Mount) (ufs.Store, error) {
			if mount.GetId() == "m2" {
				return second, nil
			}
			return h.bucket, nil
		}
		change(&h.config)
	})
	eventually(t, "the worker has a view", func() bool { return h.worker.views.load() != nil })
	return h, second
}

// TestHungStoreHoldsUpNoOther parks 70 readers of a store that hangs, before its
// header or in the middle of a body, in a worker with eight request slots: cached
// objects of the same mount, and another mount's store, are read on.
func TestHungStoreHoldsUpNoOther(t *testing.T) {
	for _, c := range []struct {
		name string
		sent int
	}{{"before the header", -1}, {"before the first byte", 0}, {"in the middle of a block", 1000}, {"after a block", 64<<10 + 1}} {
		t.Run(c.name, func(t *testing.T) {
			h, second := twoMounts(t, func(config *Config) { config.StoreRequests = 8 })
			client := h.client(mtls.Fuse, false)
			warm := h.bucket.put("warm", 1, 300_000)
			h.mustGet(client, warm, 0, warm.Size-1)
			eventually(t, "the object is on disk", func() bool { return h.blocks.Stats().Tiers[0].Sealed == 1 })
			released := make(chan struct{})
			release := sync.OnceFunc(func() { close(released) })
			defer release()
			h.bucket.mu.Lock()
			if c.sent < 0 {
				h.bucket.before = func(ctx context.Context, _ ufs.Range) error { <-ctx.Done(); return ctx.Err() }
			} else {
				h.bucket.body = func(body io.ReadCloser) io.ReadCloser {
					return &hungBody{ReadCloser: body, left: c.sent, released: released}
				}
			}
			h.bucket.mu.Unlock()
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for i := range 70 {
				key := h.bucket.put(string(rune('a'+i)), uint64(i), 300_000)
				wg.Go(func() { abandonedGet(ctx, t, h, key) })
			}
			eventually(t, "the readers are parked", func() bool {
				h.worker.lanes.mu.Lock()
				defer h.worker.lanes.mu.Unlock()
				return h.worker.lanes.parked["m1"] >= 70
			})
			cold := second.put("cold", 9, 300_000)
			cold.Mount = "m2"
			for range 5 {
				h.mustGet(client, warm, 0, warm.Size-1)
			}
			if a, err := h.get(client, cold, 0, cold.Size-1); err != nil || a.err != nil || string(a.body) != string(second.get("cold")) {
				t.Errorf("reading from the other store: %d %v %v", a.status, err, a.err)
			}
			cancel()
			wg.Wait()
			h.bucket.mu.Lock()
			h.bucket.before, h.bucket.body = nil, nil
			h.bucket.mu.Unlock()
			release()
			eventually(t, "no request is left", func() bool {
				h.worker.lanes.mu.Lock()
				defer h.worker.lanes.mu.Unlock()
				return len(h.worker.lanes.parked) == 0 && len(h.worker.lanes.slots) == 0
			})
		})
	}
}

// abandonedGet reads a version until the context ends.
func abandonedGet(ctx context.Context, t *testing.T, h *harness, key blockstore.Key) {
	request, err := wire.NewHTTPRequest(ctx, h.worker.Addr().String(), wire.Request{
		Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size, Last: key.Size - 1,
	})
	if err != nil {
		t.Error(err)
		return
	}
	response, err := h.client(mtls.Fuse, false).Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); err == nil && response.StatusCode == http.StatusPartialContent {
		t.Errorf("%d bytes of a store that hangs were read without an error", n)
	}
}

// TestParkedRequestsAreBounded checks that requests above the limit of one mount
// are throttled, and not those of another.
func TestParkedRequestsAreBounded(t *testing.T) {
	h, second := twoMounts(t, func(config *Config) { config.MaxParked = 3 })
	h.bucket.mu.Lock()
	h.bucket.before = func(ctx context.Context, _ ufs.Range) error { <-ctx.Done(); return ctx.Err() }
	h.bucket.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	key := h.bucket.put("a", 1, 300_000)
	for range 3 {
		wg.Go(func() { abandonedGet(ctx, t, h, key) })
	}
	eventually(t, "the readers are parked", func() bool {
		h.worker.lanes.mu.Lock()
		defer h.worker.lanes.mu.Unlock()
		return h.worker.lanes.parked["m1"] == 3
	})
	client := h.client(mtls.Fuse, false)
	if a, err := h.get(client, key, 0, 99); err != nil || a.code() != wire.CodeThrottled {
		t.Errorf("a request above the limit: %d %s %v", a.status, a.body, err)
	}
	cold := second.put("cold", 9, 3000)
	cold.Mount = "m2"
	if a, err := h.get(client, cold, 0, cold.Size-1); err != nil || string(a.body) != string(second.get("cold")) {
		t.Errorf("reading from the other store: %d %v", a.status, err)
	}
	cancel()
	wg.Wait()
}

// TestOpeningAStoreThatHangs checks that the store of one mount that cannot be
// opened holds up no other.
func TestOpeningAStoreThatHangs(t *testing.T) {
	h, second := twoMounts(t, func(config *Config) {
		open := config.OpenStore
		config.OpenStore = func(ctx context.Context, mount *commonv1.Mount) (ufs.Store, error) {
			if mount.GetId() == "m1" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return open(ctx, mount)
		}
		config.RequestTimeout = 20 * time.Second
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 10 {
		key := h.bucket.put(string(rune('a'+i)), uint64(i), 3000)
		wg.Go(func() { abandonedGet(ctx, t, h, key) })
	}
	cold := second.put("cold", 9, 3000)
	cold.Mount = "m2"
	if a, err := h.get(h.client(mtls.Fuse, false), cold, 0, cold.Size-1); err != nil || string(a.body) != string(second.get("cold")) {
		t.Errorf("reading from the other store: %d %v", a.status, err)
	}
	cancel()
	wg.Wait()
}
