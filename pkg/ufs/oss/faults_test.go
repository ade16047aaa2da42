package oss_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/oss"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
	"github.com/jindo-io/jindo/test/ossserver"
)

// quick shortens the waits between attempts, and gives none up.
func quick(c oss.Config) oss.Config { return limited(c, time.Minute) }

// limited is like quick, and gives up an attempt without progress after a while.
func limited(c oss.Config, limit time.Duration) oss.Config {
	c.Retry = retry.Policy{Base: time.Millisecond, Cap: 5 * time.Millisecond}
	c.Limits = wire.Limits{Headers: limit, List: limit, Stall: limit, Work: limit}
	return c
}

// rig is a server with one object, and a store that uses the server. The store gives up
// attempts if one of the faults makes the server hang.
type rig struct {
	t      *testing.T
	server *ossserver.Server
	store  *oss.Store
	data   string
}

func newRig(t *testing.T, faults ...ossserver.Fault) *rig {
	server, url := serve(t)
	c := quick(configure(url, "oss://test-bucket/"))
	for _, f := range faults {
		if f.Hang || f.Stall {
			c = limited(c, time.Second)
		}
	}
	r := &rig{t: t, server: server, store: open(t, c), data: strings.Repeat("0123456789abcdef", 1<<14)}
	t.Cleanup(func() { _ = r.store.Close() })
	if _, err := server.Put("test-bucket", "key", []byte(r.data), nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) read(rg ufs.Range) (string, error) {
	body, _, err := r.store.Get(r.t.Context(), "key", rg, "")
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	raw, err := io.ReadAll(body)
	return string(raw), err
}

// first applies a fault to the first n requests of a kind.
func first(kind ossserver.Kind, n int64, fault ossserver.Fault) func(ossserver.Request) *ossserver.Fault {
	var seen atomic.Int64
	return func(q ossserver.Request) *ossserver.Fault {
		if q.Kind == kind && seen.Add(1) <= n {
			return &fault
		}
		return nil
	}
}

// TestReadFaults checks that transient faults are retried, that others are
// returned with their kind, and that no wrong bytes are read.
func TestReadFaults(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault ossserver.Fault
		// hidden means that two faults in a row are not visible.
		hidden bool
		kind   error
	}{
		{"403", ossserver.Fault{Status: 403}, false, ufs.ErrPermission},
		{"404", ossserver.Fault{Status: 404}, false, ufs.ErrNotFound},
		{"412", ossserver.Fault{Status: 412}, false, ufs.ErrPrecondition},
		{"429", ossserver.Fault{Status: 429}, true, ufs.ErrThrottled},
		{"500", ossserver.Fault{Status: 500}, true, ufs.ErrUnavailable},
		{"502 of a proxy", ossserver.Fault{Status: 502, Code: "BadGateway"}, true, ufs.ErrUnavailable},
		{"503", ossserver.Fault{Status: 503}, true, ufs.ErrThrottled},
		{"404 of a proxy", ossserver.Fault{Status: 404, Code: "default backend"}, true, ufs.ErrUnavailable},
		{"dropped", ossserver.Fault{Drop: true}, true, ufs.ErrUnavailable},
		{"hanging", ossserver.Fault{Hang: true}, true, ufs.ErrUnavailable},
		{"cut immediately", ossserver.Fault{Cut: true}, true, ufs.ErrUnavailable},
		{"cut", ossserver.Fault{Cut: true, CutAfter: 100000}, true, nil}, // progress, so it is resumed
		{"cut before the end", ossserver.Fault{Cut: true, CutAfter: 1<<18 - 1}, true, nil},
		{"stalled", ossserver.Fault{Stall: true, StallAfter: 100000}, true, nil},
		{"stalled immediately", ossserver.Fault{Stall: true}, true, ufs.ErrUnavailable},
		{"slow", ossserver.Fault{BytesPerSecond: 1 << 20}, true, nil},
		{"late", ossserver.Fault{Delay: 50 * time.Millisecond}, true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			r := newRig(t, test.fault)
			r.server.SetFault(first(ossserver.GetObject, 2, test.fault))
			got, err := r.read(ufs.Whole)
			if test.hidden {
				if err != nil || got != r.data {
					t.Errorf("twice: read %d bytes, %v", len(got), err)
				}
			} else {
				if !errors.Is(err, test.kind) {
					t.Errorf("twice: read %d bytes, %v, want %v", len(got), err, test.kind)
				}
			}
			r.server.SetFault(first(ossserver.GetObject, 1<<40, test.fault))
			got, err = r.read(ufs.Whole)
			if !strings.HasPrefix(r.data, got) {
				t.Errorf("always: %d wrong bytes", len(got))
			}
			if test.kind == nil && (err != nil || got != r.data) || test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("always: read %d bytes, %v, want %v", len(got), err, test.kind)
			}
		})
	}
}

// TestReplacedWhileResuming checks that a body is not resumed with the bytes of
// another version.
func TestReplacedWhileResuming(t *testing.T) {
	r := newRig(t)
	r.server.SetFault(func(q ossserver.Request) *ossserver.Fault {
		if q.Kind == ossserver.GetObject && q.Number == 1 {
			return &ossserver.Fault{Cut: true, CutAfter: 1000}
		}
		if q.Kind == ossserver.GetObject {
			if _, err := r.server.Put("test-bucket", "key", []byte(strings.ToUpper(r.data)), nil); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	got, err := r.read(ufs.Whole)
	if !strings.HasPrefix(r.data, got) || !errors.Is(err, ufs.ErrPrecondition) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

// TestOutageIsNotMultiplied checks that the load on a failing store is limited by
// its requests and one retry budget.
func TestOutageIsNotMultiplied(t *testing.T) {
	r := newRig(t)
	r.server.SetFault(func(ossserver.Request) *ossserver.Fault { return &ossserver.Fault{Status: 500} })
	r.server.ResetCounters()
	const requests = 300
	for range requests {
		if _, err := r.store.Stat(t.Context(), "key"); !errors.Is(err, ufs.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	if sent := r.server.Counters().Total(); sent > requests+100 {
		t.Errorf("%d requests were sent as %d", requests, sent)
	}
}

func TestThrottlingIsObeyed(t *testing.T) {
	server, url := serve(t)
	c := configure(url, "oss://test-bucket/")
	var waited time.Duration
	c.Retry = retry.Policy{Base: time.Microsecond, Sleep: func(_ context.Context, d time.Duration) error { waited += d; return nil }}
	store := open(t, c)
	server.SetFault(first(ossserver.ListObjectsV2, 1, ossserver.Fault{Status: 429, RetryAfter: 9 * time.Second}))
	if _, err := store.List(t.Context(), ufs.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if waited < 9*time.Second {
		t.Errorf("retried after %v, but Retry-After is 9s", waited)
	}
}

// TestWriteFaults checks that a body is sent again if it can be read again, and
// that nothing is stored twice or in part.
func TestWriteFaults(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault ossserver.Fault
	}{
		{"500", ossserver.Fault{Status: 500}},
		{"503", ossserver.Fault{Status: 503}},
		{"dropped", ossserver.Fault{Drop: true}},
		{"hanging", ossserver.Fault{Hang: true}},
		{"lost", ossserver.Fault{Lose: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			r := newRig(t, test.fault)
			r.server.SetFault(first(ossserver.PutObject, 2, test.fault))
			body := strings.NewReader("skip|the body")
			_, _ = body.Seek(5, io.SeekStart)
			if _, err := r.store.Put(t.Context(), "new", body, 8, nil, ufs.Conditions{}); err != nil {
				t.Errorf("a seeker: %v", err)
			}
			if got, _, err := r.server.Get("test-bucket", "new"); err != nil || string(got) != "the body" {
				t.Errorf("stored %q, %v", got, err)
			}
			r.server.SetFault(first(ossserver.PutObject, 1, test.fault))
			stream := io.MultiReader(strings.NewReader("the stream"))
			_, err := r.store.Put(t.Context(), "stream", stream, 10, nil, ufs.Conditions{})
			if !errors.Is(err, ufs.ErrUnavailable) && !errors.Is(err, ufs.ErrThrottled) {
				// The store may refuse the request before reading a byte.
				if got, _, gerr := r.server.Get("test-bucket", "stream"); err != nil || gerr != nil || string(got) != "the stream" {
					t.Errorf("a stream: %v, stored %q, %v", err, got, gerr)
				}
			}
		})
	}
}

// TestLostCreate checks that a lost response is taken neither for success nor for
// an object that another client created.
func TestLostCreate(t *testing.T) {
	r := newRig(t)
	r.server.SetFault(first(ossserver.PutObject, 1, ossserver.Fault{Lose: true}))
	_, err := r.store.Put(t.Context(), "new", strings.NewReader("x"), 1, nil, ufs.Conditions{IfNoneMatch: true})
	if !errors.Is(err, ufs.ErrUnavailable) || errors.Is(err, ufs.ErrPrecondition) {
		t.Errorf("got %v", err)
	}
	if _, err := r.store.Put(t.Context(), "new", strings.NewReader("x"), 1, nil, ufs.Conditions{IfNoneMatch: true}); !errors.Is(err, ufs.ErrPrecondition) {
		t.Errorf("second attempt: %v", err)
	}
}

func TestLostComplete(t *testing.T) {
	r := newRig(t)
	id, err := r.store.CreateMultipart(t.Context(), "new", nil)
	if err != nil {
		t.Fatal(err)
	}
	part, err := r.store.UploadPart(t.Context(), "new", id, 1, strings.NewReader("part"), 4)
	if err != nil {
		t.Fatal(err)
	}
	r.server.SetFault(first(ossserver.CompleteMultipartUpload, 1, ossserver.Fault{Lose: true}))
	_, err = r.store.CompleteMultipart(t.Context(), "new", id, []ufs.Part{part}, ufs.Conditions{})
	if err != nil && (!errors.Is(err, ufs.ErrUnavailable) || errors.Is(err, ufs.ErrNotFound)) {
		t.Errorf("got %v", err)
	}
}

func TestVersionedBucket(t *testing.T) {
	for _, status := range []string{"Enabled", "Suspended"} {
		r := newRig(t)
		if err := r.server.SetVersioning("test-bucket", status); err != nil {
			t.Fatal(err)
		}
		can, err := r.store.Capabilities(t.Context())
		if err != nil || can.ConditionalCreate || !can.Versioned {
			t.Errorf("%s: %+v, %v", status, can, err)
		}
		_, err = r.store.Put(t.Context(), "key", strings.NewReader("x"), 1, nil, ufs.Conditions{IfNoneMatch: true})
		if !errors.Is(err, ufs.ErrUnsupported) {
			t.Errorf("%s: creating: %v", status, err)
		}
		if got, err := r.read(ufs.Whole); err != nil || got != r.data {
			t.Errorf("%s: the object was overwritten: %v", status, err)
		}
	}
}

// TestCapabilitiesWithoutBucketRights checks that without the right to read the bucket's
// settings no condition is claimed.
func TestCapabilitiesWithoutBucketRights(t *testing.T) {
	r := newRig(t)
	r.server.SetKeys(map[string]ossserver.Key{keyID: {Secret: keySecret, Deny: []ossserver.Kind{ossserver.GetBucketInfo}}})
	can, err := r.store.Capabilities(t.Context())
	if err != nil || can.ConditionalCreate {
		t.Errorf("%+v, %v", can, err)
	}
	if got, err := r.read(ufs.Whole); err != nil || got != r.data {
		t.Errorf("reading: %v", err)
	}
}

func TestMissingRightIsNamed(t *testing.T) {
	r := newRig(t)
	r.server.SetKeys(map[string]ossserver.Key{keyID: {Secret: keySecret, Deny: []ossserver.Kind{ossserver.GetObject, ossserver.ListObjectsV2}}})
	_, err := r.read(ufs.Whole)
	if !errors.Is(err, ufs.ErrPermission) || !strings.Contains(err.Error(), "oss:GetObject") || !strings.Contains(err.Error(), "oss://test-bucket/key") {
		t.Errorf("reading: %v", err)
	}
	_, err = r.store.List(t.Context(), ufs.ListOptions{})
	if !errors.Is(err, ufs.ErrPermission) || !strings.Contains(err.Error(), "oss:ListObjects") {
		t.Errorf("listing: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	for name, endpoint := range map[string]string{
		"refused":      "http://127.0.0.1:1",
		"no such host": "http://no-such-host.invalid",
	} {
		// The lookup of a name may take long where no server responds to it.
		store := open(t, limited(configure(endpoint, "oss://test-bucket/"), time.Second))
		_, err := store.Stat(t.Context(), "key")
		if !errors.Is(err, ufs.ErrUnavailable) || errors.Is(err, ufs.ErrNotFound) || !strings.Contains(err.Error(), endpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, url := serve(t)
	store := open(t, quick(configure(strings.Replace(url, "http:", "https:", 1), "oss://test-bucket/")))
	_, err := store.Stat(t.Context(), "key")
	if !errors.Is(err, ufs.ErrUnavailable) || !strings.Contains(err.Error(), "does not speak TLS") {
		t.Errorf("https to http: %v", err)
	}
}

// TestVirtualHost checks that the bucket is part of the host name, and signed so.
func TestVirtualHost(t *testing.T) {
	server := ossserver.New(ossserver.Config{AccessKeyID: keyID, AccessKeySecret: keySecret, Host: "oss-cn-beijing.aliyuncs.com", Region: "cn-beijing"})
	if err := server.CreateBucket("test-bucket"); err != nil {
		t.Fatal(err)
	}
	address := listen(t, server)
	client := &http.Client{Transport: redirected(address)}
	c := quick(configure("http://oss-cn-beijing-internal.aliyuncs.com", "oss://test-bucket/p/"))
	c.HTTP = client
	if _, err := open(t, c).Stat(t.Context(), "key"); err == nil {
		t.Error("another host was served")
	}
	c.Options["fs.oss.endpoint"] = "http://oss-cn-beijing.aliyuncs.com"
	store := open(t, c)
	if _, err := store.Put(t.Context(), "a b/+", strings.NewReader("x"), 1, nil, ufs.Conditions{IfNoneMatch: true}); err != nil {
		t.Fatal(err)
	}
	if got, _, err := server.Get("test-bucket", "p/a b/+"); err != nil || string(got) != "x" {
		t.Errorf("stored %q, %v", got, err)
	}
	page, err := store.List(t.Context(), ufs.ListOptions{})
	if err != nil || len(page.Objects) != 1 || page.Objects[0].Key != "a b/+" {
		t.Errorf("listed %+v, %v", page, err)
	}
}
