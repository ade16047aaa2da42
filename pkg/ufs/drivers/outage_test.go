package drivers_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/oss"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
	"github.com/jindo-io/jindo/pkg/ufs/s3"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// rotatingCredentials change once, when the store refuses the first ones.
type rotatingCredentials struct{ refreshed atomic.Int64 }

func (r *rotatingCredentials) Credentials(context.Context) (ufs.Credentials, error) {
	if r.refreshed.Load() == 0 {
		return ufs.Credentials{AccessKeyID: "old", AccessKeySecret: "old"}, nil
	}
	return ufs.Credentials{AccessKeyID: "new", AccessKeySecret: "new"}, nil
}

func (r *rotatingCredentials) Refresh(context.Context, ufs.Credentials) (bool, error) {
	return r.refreshed.Add(1) == 1, nil
}

// refusing is the error response of a store.
func refusing(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("X-Oss-Request-Id", "1")
		w.Header().Set("X-Amz-Request-Id", "1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<?xml version=\"1.0\"?><Error><Code>"+code+"</Code><Message>"+code+"</Message><RequestId>1</RequestId></Error>")
	}
}

// hanging accepts requests and never responds.
func hanging(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// openStores opens the drivers that use a network, with an endpoint of the test. limit
// is the time after which they give up an attempt.
func openStores(t *testing.T, endpoint string, limit time.Duration, credentials ufs.CredentialsSource, policy retry.Policy) map[string]ufs.Store {
	t.Helper()
	limits := wire.Limits{Headers: limit, List: limit}
	location := func(uri string) ufs.Location {
		location, err := ufs.ParseLocation(uri)
		if err != nil {
			t.Fatal(err)
		}
		return location
	}
	o, err := oss.Open(oss.Config{Location: location("oss://data/"), Options: map[string]string{"fs.oss.endpoint": endpoint}, Credentials: credentials, Retry: policy, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	s, err := s3.Open(s3.Config{Location: location("s3://data/"), Options: map[string]string{"fs.s3.endpoint": endpoint}, Credentials: credentials, Retry: policy, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	stores := map[string]ufs.Store{"oss": o, "s3": s}
	for _, store := range stores {
		t.Cleanup(func() { _ = store.Close() })
	}
	return stores
}

// TestOutages checks the error and the number of attempts for a store that
// cannot be used, with the default number of attempts and no waits.
func TestOutages(t *testing.T) {
	const defaultAttempts = 5
	for _, test := range []struct {
		name     string
		handler  http.HandlerFunc
		limit    time.Duration
		attempts int64
		kind     error
		message  string
	}{
		{"hanging server", hanging, 20 * time.Millisecond, defaultAttempts, ufs.ErrUnavailable, "no progress"},
		{"NoSuchBucket", refusing(404, "NoSuchBucket"), time.Minute, 1, ufs.ErrNoBucket, "mountPoint"},
		{"AccessDenied", refusing(403, "AccessDenied"), time.Minute, 2, ufs.ErrPermission, `access key id "new"`},
		{"another web server", refusing(404, "default backend"), time.Minute, defaultAttempts, ufs.ErrUnavailable, ".endpoint"},
	} {
		for _, driver := range []string{"oss", "s3"} {
			t.Run(test.name+" "+driver, func(t *testing.T) {
				var requests atomic.Int64
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					test.handler(w, r)
				}))
				defer server.Close()
				waits := int64(0)
				policy := retry.Policy{Sleep: func(context.Context, time.Duration) error { waits++; return nil }}
				store := openStores(t, server.URL, test.limit, &rotatingCredentials{}, policy)[driver]
				_, err := store.List(t.Context(), ufs.ListOptions{})
				if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.message) {
					t.Errorf("got %v, want %v with %q", err, test.kind, test.message)
				}
				got := requests.Load()
				if test.limit < time.Minute {
					// The client may give up an attempt before the server has received it.
					got = max(got, waits+1)
				}
				if got != test.attempts {
					t.Errorf("%d requests, want %d", got, test.attempts)
				}
			})
		}
	}
}

// TestConnectionRefused checks that a closed port has an error of its own and
// is retried as often as any other.
func TestConnectionRefused(t *testing.T) {
	const endpoint = "http://127.0.0.1:1"
	for _, driver := range []string{"oss", "s3"} {
		t.Run(driver, func(t *testing.T) {
			waits := 0
			policy := retry.Policy{Attempts: 3, Sleep: func(context.Context, time.Duration) error { waits++; return nil }}
			_, err := openStores(t, endpoint, time.Minute, ufs.StaticCredentials{}, policy)[driver].List(t.Context(), ufs.ListOptions{})
			if !errors.Is(err, ufs.ErrConnectionRefused) || !errors.Is(err, ufs.ErrUnavailable) || !strings.Contains(err.Error(), "fs."+driver+".endpoint") {
				t.Errorf("got %v", err)
			}
			if waits != 2 {
				t.Errorf("waited %d times between attempts, want 2", waits)
			}
		})
	}
}
