package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// TestStoreFailures checks the response to each error of the store.
func TestStoreFailures(t *testing.T) {
	h := newHarness(t).ready()
	client := h.client(mtls.Fuse, false)
	for i, c := range []struct {
		name      string
		fail      error
		status    int
		code      wire.Code
		forgotten bool
		health    bool // the mount counts as failing
	}{
		{"403", fmt.Errorf("the key of this worker lacks oss:GetObject on bucket: %w", ufs.ErrPermission), 403, wire.CodePermission, false, true},
		{"404", ufs.ErrNotFound, 404, wire.CodeNotFound, true, false},
		{"no bucket", ufs.ErrNoBucket, 502, wire.CodeNoBucket, false, true},
		{"closed port", ufs.ErrConnectionRefused, 502, wire.CodeStoreRefused, false, true},
		{"412", ufs.ErrPrecondition, 412, wire.CodeStale, true, false},
		{"416", ufs.ErrInvalidRange, 416, wire.CodeInvalidRange, false, false},
		{"429", ufs.ErrThrottled, 503, wire.CodeThrottled, false, true},
		{"5xx", ufs.ErrUnavailable, 502, wire.CodeUnavailable, false, true},
		{"anything else", io.ErrClosedPipe, 502, wire.CodeUnavailable, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := h.bucket.put(fmt.Sprintf("dir/%d", i), uint64(i), 100_000)
			h.bucket.failWith(c.fail, nil)
			before := len(h.directory.forgot())
			a, err := h.get(client, key, 0, 99_999)
			if err != nil || a.status != c.status || a.code() != c.code {
				t.Errorf("got %d %s %v, want %d %s", a.status, a.body, err, c.status, c.code)
			}
			if c.code == wire.CodeThrottled && a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if c.code == wire.CodePermission && !strings.Contains(string(a.body), "oss:GetObject") {
				t.Errorf("the missing right is not named: %s", a.body)
			}
			if got := len(h.directory.forgot()) > before; got != c.forgotten {
				t.Errorf("the name was forgotten: %v, want %v", got, c.forgotten)
			}
			if got := h.worker.mounts.get("m1").health() != nil; got != c.health {
				t.Errorf("the mount is failing: %v, want %v", got, c.health)
			}
			h.bucket.failWith(nil, nil)
			h.mustGet(client, key, 0, 99_999)
			if err := h.worker.mounts.get("m1").health(); err != nil {
				t.Errorf("the mount is failing after a success: %v", err)
			}
		})
	}
}

// truncated is a body that ends early.
type truncated struct {
	io.ReadCloser
	left int64
}

func (b *truncated) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("body ended early: %w", ufs.ErrUnavailable)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// TestTruncatedBodies checks that a body that ends early is continued, and that
// a response whose body never yields a block is aborted, so that no reader takes
// its bytes for the whole range.
func TestTruncatedBodies(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			h := newHarness(t).ready()
			client := h.client(mtls.Fuse, h2)
			key := h.bucket.put("a", 1, 600_000)
			h.bucket.failWith(nil, func(b io.ReadCloser) io.ReadCloser { return &truncated{b, 100_000} })
			h.mustGet(client, key, 0, 599_999)

			key = h.bucket.put("b", 2, 600_000)
			h.bucket.failWith(nil, func(b io.ReadCloser) io.ReadCloser { return &truncated{b, 10_000} })
			a, err := h.get(client, key, 0, 599_999)
			if err == nil && a.err == nil && a.status == http.StatusPartialContent {
				t.Errorf("a response of %d bytes of 600000 looks complete", len(a.body))
			}
			h.bucket.failWith(nil, nil)
			h.mustGet(client, key, 0, 599_999)
		})
	}
}

// TestSlowStore checks that the header is sent before the bytes are available.
func TestSlowStore(t *testing.T) {
	h := newHarness(t).ready()
	client := h.client(mtls.Fuse, false)
	key := h.bucket.put("a", 1, 600_000)
	gate := make(chan struct{})
	h.bucket.failWith(nil, func(b io.ReadCloser) io.ReadCloser { return &gated{b, gate} })
	request, err := wire.NewHTTPRequest(t.Context(), h.worker.Addr().String(), wire.Request{
		Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size, Last: key.Size - 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusPartialContent {
		t.Errorf("status %d", response.StatusCode)
	}
	close(gate)
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != string(h.bucket.get("a")) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

type gated struct {
	io.ReadCloser
	gate chan struct{}
}

func (b *gated) Read(p []byte) (int, error) { <-b.gate; return b.ReadCloser.Read(p) }

// TestHerd checks that 64 readers of one cold object cause one download.
func TestHerd(t *testing.T) {
	h := newHarness(t).ready()
	client := h.client(mtls.Fuse, false)
	key := h.bucket.put("a", 1, 600_000)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if a, err := h.get(client, key, 0, 599_999); err != nil || string(a.body) != string(h.bucket.get("a")) {
				t.Errorf("%d bytes, %v %v", len(a.body), err, a.err)
			}
		})
	}
	wg.Wait()
	if sent := h.bucket.sent.Load(); sent > 630_000 {
		t.Errorf("the store sent %d bytes for an object of 600000", sent)
	}
}

// TestReplacedWhileRead checks that a reader never receives two versions mixed,
// and that the cached part of the old version can still be read.
func TestReplacedWhileRead(t *testing.T) {
	h := newHarness(t).ready()
	client := h.client(mtls.Fuse, false)
	old := h.bucket.put("dir/a", 1, 600_000)
	want := h.bucket.get("dir/a")
	h.mustGet(client, old, 0, 99_999)
	eventually(t, "the first part is cached", func() bool {
		a, err := h.get(client, old, 0, 99_999, wire.HeaderOnlyIfCached, "1")
		return err == nil && a.status == http.StatusPartialContent
	})
	next := h.bucket.put("dir/a", 2, 600_000)
	if a, err := h.get(client, old, 0, 99_999); err != nil || string(a.body) != string(want[:100_000]) {
		t.Errorf("the cached part of the old version: %d %v", a.status, err)
	}
	if a, err := h.get(client, old, 300_000, 399_999); err != nil || a.status != http.StatusPreconditionFailed || a.code() != wire.CodeStale {
		t.Errorf("a part that was not cached: %d %s %v", a.status, a.body, err)
	}
	if got := h.directory.forgot(); len(got) == 0 || got[0] != "m1:dir/a" {
		t.Errorf("forgotten: %v", got)
	}
	h.mustGet(client, next, 0, 599_999)
	h.bucket.remove("dir/a")
	if a, err := h.get(client, next, 0, 599_999); err != nil || string(a.body) != string(randomBytes(2, 600_000)) {
		t.Errorf("a cached version of a deleted object: %d %v", a.status, err)
	}
	if a, err := h.get(client, old, 300_000, 399_999); err != nil || a.code() != wire.CodeNotFound {
		t.Errorf("after deletion: %d %s %v", a.status, a.body, err)
	}
}

// TestMountThatCannotBeOpened checks that the reason is returned and that
// opening is retried.
func TestMountThatCannotBeOpened(t *testing.T) {
	var mu sync.Mutex
	reason := fmt.Errorf("secret hadoop has no fs.oss.accessKeyId: %w", ufs.ErrPermission)
	h := newHarness(t, func(h *harness) {
		h.config.OpenStore = func(context.Context, *commonv1.Mount) (ufs.Store, error) {
			mu.Lock()
			defer mu.Unlock()
			return h.bucket, reason
		}
	}).ready()
	client := h.client(mtls.Fuse, false)
	key := h.bucket.put("a", 1, 1000)
	a, err := h.get(client, key, 0, 999)
	if err != nil || a.status != http.StatusForbidden || !strings.Contains(string(a.body), "fs.oss.accessKeyId") {
		t.Errorf("%d %s %v", a.status, a.body, err)
	}
	eventually(t, "the report has the error", func() bool {
		last := h.masters.last()
		return len(last.GetMounts()) == 1 && strings.Contains(last.GetMounts()[0].GetError(), "fs.oss.accessKeyId")
	})
	mu.Lock()
	reason = nil
	mu.Unlock()
	eventually(t, "the mount is opened later", func() bool {
		a, err := h.get(client, key, 0, 999)
		return err == nil && a.status == http.StatusPartialContent
	})
}

// TestSlowReaderIsCutOff checks that a reader that stops reading frees its slot.
func TestSlowReaderIsCutOff(t *testing.T) {
	h := newHarness(t, func(h *harness) { h.config.WriteTimeout, h.config.MaxRequests = 2*time.Second, 1 }).ready()
	key := h.bucket.put("a", 1, 24<<20)
	slow := h.client(mtls.Fuse, false)
	request, err := wire.NewHTTPRequest(t.Context(), h.worker.Addr().String(), wire.Request{
		Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size, Last: key.Size - 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	response, err := slow.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	h.mustGet(h.client(mtls.Fuse, false), key, 0, 99) // waits for the only slot
	if n, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Errorf("the slow reader got %d bytes and no error", n)
	}
}
