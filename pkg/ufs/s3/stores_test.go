package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
	"github.com/jindo-io/jindo/pkg/ufs/s3"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// simple is a minimal S3 store: it puts, gets and deletes, and checks conditions
// if check is set. respond, unless nil, may handle a request instead.
type simple struct {
	mu      sync.Mutex
	objects map[string]string
	check   bool
	respond func(w http.ResponseWriter, r *http.Request) bool
	seen    []string
}

func (s *simple) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r.Method+" "+r.Host+r.URL.Path)
	w.Header().Set("x-amz-request-id", "R1")
	if s.respond != nil && s.respond(w, r) {
		return
	}
	content, there := s.objects[r.URL.Path]
	refuse := s.check && (r.Header.Get("If-None-Match") == "*" && there || r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != etag(content))
	switch {
	case r.URL.Query().Has("versioning"):
		_, _ = io.WriteString(w, `<VersioningConfiguration/>`)
	case refuse:
		failure(w, 412, "PreconditionFailed")
	case r.Method == http.MethodPut:
		raw, _ := io.ReadAll(r.Body)
		s.objects[r.URL.Path] = string(raw)
		w.Header().Set("ETag", etag(string(raw)))
	case r.Method == http.MethodDelete:
		delete(s.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	case !there:
		failure(w, 404, "NoSuchKey")
	default:
		w.Header().Set("ETag", etag(content))
		http.ServeContent(w, r, "", time.Unix(1000, 0), strings.NewReader(content))
	}
}

func etag(content string) string { return fmt.Sprintf(`"%x-%d"`, len(content), len(content)) }

func failure(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>refused</Message></Error>", code)
}

func serve(t *testing.T, s *simple) s3.Config {
	t.Helper()
	if s.objects == nil {
		s.objects = map[string]string{}
	}
	listener := httptest.NewServer(s)
	t.Cleanup(listener.Close)
	c := configure(listener.URL, "s3://data/")
	c.Retry = retry.Policy{Base: time.Millisecond, Cap: time.Millisecond}
	c.Limits = wire.Limits{Headers: time.Minute, List: time.Minute, Stall: time.Minute}
	return c
}

// TestConditionsAreProbed checks that only conditions that the store obeys are
// claimed, and that the probe leaves no object behind.
func TestConditionsAreProbed(t *testing.T) {
	for _, test := range []struct {
		name   string
		store  *simple
		option string
		want   bool
	}{
		{"checks", &simple{check: true}, "", true},
		{"ignores", &simple{}, "", false},
		{"denied", &simple{check: true, respond: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				failure(w, 403, "AccessDenied")
				return true
			}
			return false
		}}, "", false},
		{"refuses to know", &simple{respond: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Match") != "" {
				failure(w, 501, "NotImplemented")
				return true
			}
			return false
		}}, "", false},
		{"conditions all", &simple{}, "all", true},
		{"conditions none", &simple{check: true}, "none", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t, test.store)
			c.Options["fs.s3.conditions"] = test.option
			store := open(t, c)
			can, err := store.Capabilities(t.Context())
			if err != nil || can.ConditionalCreate != test.want || can.ConditionalReplace != test.want || can.ConditionalDelete != test.want {
				t.Errorf("%+v, %v", can, err)
			}
			if len(test.store.objects) != 0 {
				t.Errorf("left: %v", test.store.objects)
			}
			before := len(test.store.seen)
			if _, err := store.Capabilities(t.Context()); err != nil || len(test.store.seen) != before {
				t.Errorf("probed again: %v, %v", test.store.seen[before:], err)
			}
			if !test.want {
				_, err := store.Put(t.Context(), "key", strings.NewReader("x"), 1, nil, ufs.Conditions{IfNoneMatch: true})
				if !errors.Is(err, ufs.ErrUnsupported) {
					t.Errorf("creating: %v", err)
				}
			}
		})
	}
}

// TestMissingIsConfirmed checks that a 404 to a HEAD is a deletion only if the
// store reports that the object is missing.
func TestMissingIsConfirmed(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		code   string
		kind   error
	}{
		{"object", 404, "NoSuchKey", ufs.ErrNotFound},
		{"bucket", 404, "NoSuchBucket", ufs.ErrNoBucket},
		{"access key", 404, "XAdminUserNotFound", ufs.ErrPermission},
		{"page of a proxy", 404, "", ufs.ErrUnavailable},
		{"right", 403, "AccessDenied", ufs.ErrPermission},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := open(t, serve(t, &simple{respond: func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case r.Method == http.MethodHead:
					w.WriteHeader(http.StatusNotFound)
				case test.code == "":
					w.Header().Del("x-amz-request-id")
					http.Error(w, "<html>default backend - 404</html>", test.status)
				default:
					failure(w, test.status, test.code)
				}
				return true
			}}))
			_, err := store.Stat(t.Context(), "key")
			if !errors.Is(err, test.kind) || test.kind != ufs.ErrNotFound && test.kind != ufs.ErrNoBucket && errors.Is(err, ufs.ErrNotFound) { //nolint:errorlint // table
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRedirectIsExplained(t *testing.T) {
	store := open(t, serve(t, &simple{respond: func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Location", "http://elsewhere.test/")
		failure(w, 301, "PermanentRedirect")
		return true
	}}))
	_, err := store.List(t.Context(), ufs.ListOptions{})
	if !errors.Is(err, ufs.ErrInvalid) || !strings.Contains(err.Error(), "fs.s3.region") {
		t.Errorf("got %v", err)
	}
}

// TestRetriesAreOurs checks that the SDK does not retry.
func TestRetriesAreOurs(t *testing.T) {
	down := &simple{respond: func(w http.ResponseWriter, _ *http.Request) bool {
		failure(w, 500, "InternalError")
		return true
	}}
	c := serve(t, down)
	c.Retry.Attempts = 3
	if _, err := open(t, c).List(t.Context(), ufs.ListOptions{}); !errors.Is(err, ufs.ErrUnavailable) || len(down.seen) != 3 {
		t.Errorf("%d requests, %v", len(down.seen), err)
	}
}

// TestIgnoredRange checks that bytes from the start are not taken for a range.
func TestIgnoredRange(t *testing.T) {
	store := open(t, serve(t, &simple{objects: map[string]string{"/data/key": "0123456789"}, respond: func(w http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("Range")
		return false
	}}))
	_, _, err := store.Get(t.Context(), "key", ufs.Range{Offset: 3, Length: 2}, "")
	if !errors.Is(err, ufs.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	body, object, err := store.Get(t.Context(), "key", ufs.Range{Offset: 0, Length: 2}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	if raw, err := io.ReadAll(body); err != nil || string(raw) != "01" || object.Size != 10 {
		t.Errorf("%q of %+v, %v", raw, object, err)
	}
}

// TestIgnoredIfMatch checks that another version is detected even if the store
// ignores If-Match.
func TestIgnoredIfMatch(t *testing.T) {
	store := open(t, serve(t, &simple{objects: map[string]string{"/data/key": "0123456789"}}))
	if _, _, err := store.Get(t.Context(), "key", ufs.Whole, "another"); !errors.Is(err, ufs.ErrPrecondition) {
		t.Errorf("got %v", err)
	}
}

func TestVirtualHost(t *testing.T) {
	plain := &simple{objects: map[string]string{}}
	listener := httptest.NewServer(plain)
	defer listener.Close()
	c := configure("http://store.example.com", "s3://data/")
	c.Options["fs.s3.pathStyle"] = "false"
	c.HTTP = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, listener.Listener.Addr().String())
	}}}
	store := open(t, c)
	if _, err := store.Put(t.Context(), "key", strings.NewReader("x"), 1, nil, ufs.Conditions{}); err != nil {
		t.Fatal(err)
	}
	if len(plain.seen) != 1 || plain.seen[0] != "PUT data.store.example.com/key" {
		t.Errorf("requests %v", plain.seen)
	}
	_ = store.Close()
}

// TestLaidInPlace checks files that were written into the directory of versitygw
// and have no tag: the driver makes one, which changes with the file.
func TestLaidInPlace(t *testing.T) {
	url := endpoint(t)
	name := bucket(t)
	path := shared.dir + "/" + name + "/laid"
	lay := func(content string, when time.Time) {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	lay("before", time.Unix(1e9, 0))
	store := open(t, configure(url, "s3://"+name+"/"))
	stat, err := store.Stat(t.Context(), "laid")
	if err != nil {
		t.Fatal(err)
	}
	page, err := store.List(t.Context(), ufs.ListOptions{})
	if err != nil || len(page.Objects) != 1 || page.Objects[0].ETag != stat.ETag {
		t.Fatalf("listed %+v, described %+v, %v", page, stat, err)
	}
	read := func(r ufs.Range) (string, error) {
		body, _, err := store.Get(t.Context(), "laid", r, stat.ETag)
		if err != nil {
			return "", err
		}
		defer func() { _ = body.Close() }()
		raw, err := io.ReadAll(body)
		return string(raw), err
	}
	if got, err := read(ufs.Range{Offset: 2, Length: 3}); err != nil || got != "for" {
		t.Errorf("%q, %v", got, err)
	}
	lay("behind", time.Unix(1e9+5, 0))
	if got, err := read(ufs.Whole); !errors.Is(err, ufs.ErrPrecondition) {
		t.Errorf("%q, %v", got, err)
	}
}
