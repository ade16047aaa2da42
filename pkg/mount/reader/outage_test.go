package reader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/test/ossserver"
	"github.com/jindo-io/jindo/test/ports"
)

// countingCluster counts the rounds of names and bytes.
type countingCluster struct {
	Cluster
	lookups, lists, fetches atomic.Int64

	mu sync.Mutex
	// deadlines of the contexts of all fetches.
	deadlines []time.Time
}

func (c *countingCluster) Lookup(ctx context.Context, mount, dir, name string) (*workerv1.LookupResponse, error) {
	c.lookups.Add(1)
	return c.Cluster.Lookup(ctx, mount, dir, name)
}

func (c *countingCluster) List(ctx context.Context, mount, dir, after string, limit int) (*workerv1.ListResponse, error) {
	c.lists.Add(1)
	return c.Cluster.List(ctx, mount, dir, after, limit)
}

func (c *countingCluster) Fetch(ctx context.Context, candidate client.Candidate, o client.Object, offset int64, to client.Destination, terms client.Terms) (int, bool, error) {
	c.fetches.Add(1)
	if deadline, ok := ctx.Deadline(); ok {
		c.mu.Lock()
		c.deadlines = append(c.deadlines, deadline)
		c.mu.Unlock()
	}
	return c.Cluster.Fetch(ctx, candidate, o, offset, to, terms)
}

// outage is a store that is unavailable, behind one real worker.
type outage struct {
	*real
	counts *countingCluster
}

func newOutage(t *testing.T, endpoint string, change func(*Config)) *outage {
	t.Helper()
	o := &outage{counts: &countingCluster{}}
	o.real = newRealOf(t, 1, func(f *real) {
		m := f.view.Mounts[0]
		m.Uri = "oss://data/"
		m.Options = map[string]string{"fs.oss.endpoint": endpoint, "fs.oss.accessKeyId": "id", "fs.oss.accessKeySecret": "secret"}
	}, func(c *Config) {
		o.counts.Cluster = c.Cluster
		c.Cluster = o.counts
		c.Memory = 1 // disables read-ahead, so that rounds can be counted
		change(c)
	})
	return o
}

// errs returns the errors of a lookup, a listing and a read.
func (o *outage) errs() map[string]error {
	o.Helper()
	_, lookup := o.reader.Lookup(o.Context(), "m1", "dir", "name")
	_, list := o.reader.List(o.Context(), "m1", "dir", "")
	file, err := o.reader.Open(o.Context(), Version{Mount: "m1", Key: "dir/name", ETag: "etag", Size: 100})
	if err != nil {
		o.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	_, read := file.ReadAt(o.Context(), make([]byte, 100), 0)
	return map[string]error{"lookup": lookup, "list": list, "read": read}
}

// rounds returns the numbers of lookups, listings and fetches.
func (c *countingCluster) rounds() string {
	return fmt.Sprint(c.lookups.Load(), c.lists.Load(), c.fetches.Load())
}

// TestRefusingStore checks that names and reads fail after one round for an
// error that a retry cannot change.
func TestRefusingStore(t *testing.T) {
	for _, test := range []struct {
		name    string
		server  ossserver.Config
		bucket  bool
		want    error
		message string
	}{
		{"NoSuchBucket", ossserver.Config{}, false, ErrUnavailable, "bucket data does not exist"},
		{"403", ossserver.Config{AccessKeyID: "other", AccessKeySecret: "other"}, true, ErrPermission, "fs.oss.accessKeyId"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := ossserver.New(test.server)
			if test.bucket {
				if err := store.CreateBucket("data"); err != nil {
					t.Fatal(err)
				}
			}
			server := httptest.NewServer(store)
			defer server.Close()
			o := newOutage(t, server.URL, func(*Config) {})
			for operation, err := range o.errs() {
				if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.message) || errors.Is(err, errTimeout) {
					t.Errorf("%s: unexpected error %v", operation, err)
				}
			}
			if got := o.counts.rounds(); got != "1 1 1" {
				t.Errorf("got %s rounds of lookup, list and read, want one each", got)
			}
		})
	}
}

// TestUnreachableStore checks that rounds go on for RefusedTimeout by
// the reader's clock, which here advances 3 s each time it is read.
func TestUnreachableStore(t *testing.T) {
	endpoint := fmt.Sprintf("http://127.0.0.1:%d", ports.Reserve(t))
	var ticks atomic.Int64
	o := newOutage(t, endpoint, func(c *Config) {
		c.Clock = func() time.Time { return time.Unix(3*ticks.Add(1), 0) }
	})
	for operation, err := range o.errs() {
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "refused connections for 5s") || errors.Is(err, errTimeout) {
			t.Errorf("%s: unexpected error %v", operation, err)
		}
	}
	if got := o.counts.rounds(); got != "2 2 2" {
		t.Errorf("got %s rounds of lookup, list and read, want two each: after 3 s and after 6 s", got)
	}
}

// TestHangingStore checks that names and reads end with ReadTimeout, and that
// the message has what the source was waiting for.
func TestHangingStore(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer server.Close()
	defer close(release)
	o := newOutage(t, server.URL, func(c *Config) { c.ReadTimeout = 300 * time.Millisecond })
	for operation, err := range o.errs() {
		if !errors.Is(err, errTimeout) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: unexpected error %v", operation, err)
		}
	}
}

// TestReadAheadSharesTheTimeout checks that a read which waits for bytes read
// ahead spends no second timeout when they do not come.
func TestReadAheadSharesTheTimeout(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer server.Close()
	defer close(release)
	const timeout = 2 * time.Second
	o := newOutage(t, server.URL, func(c *Config) {
		c.ReadTimeout, c.Memory, c.StallTimeout, c.AttemptTimeout = timeout, 256<<20, time.Hour, time.Hour
	})
	file, err := o.reader.Open(t.Context(), Version{Mount: "m1", Key: "dir/name", ETag: "etag", Size: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.ReadAt(t.Context(), make([]byte, 4096), 0); !errors.Is(err, errTimeout) {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	// The first fetch reads ahead. The read itself may have time left for another,
	// which must not start a new timeout.
	o.counts.mu.Lock()
	defer o.counts.mu.Unlock()
	first := o.counts.deadlines[0]
	for _, deadline := range o.counts.deadlines[1:] {
		if !deadline.Before(first.Add(timeout)) {
			t.Errorf("a fetch has the deadline %v, a second timeout after %v", deadline, first)
		}
	}
}
