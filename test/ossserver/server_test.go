package ossserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jindo-io/jindo/test/ossserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open serves a bucket called data that requires no signature.
func open(t testing.TB) (*ossserver.Server, string) {
	t.Helper()
	s := ossserver.New(ossserver.Config{})
	if err := s.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(s)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		listener.Close()
	})
	return s, listener.URL
}

func get(t testing.TB, url string, header ...string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func TestCounters(t *testing.T) {
	s, url := open(t)
	if _, err := s.Put("data", "key", []byte("0123456789"), nil); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if _, body, err := get(t, url+"/data/key", "Range", "bytes=2-5"); err != nil || body != "2345" {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
	group.Wait()
	if response, _, err := get(t, url+"/data/other"); err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("%v, %v", response, err)
	}
	c := s.Counters()
	if c.Requests[ossserver.GetObject] != 6 || c.Total() != 6 || c.Statuses[206] != 5 || c.Statuses[404] != 1 || c.MaxInFlight < 1 {
		t.Errorf("counted %+v", c)
	}
	if bytes := c.BytesOut[ossserver.GetObject]; bytes < 20 || bytes > 1000 {
		t.Errorf("counted %d bytes", bytes)
	}
	s.ResetCounters()
	if c := s.Counters(); c.Total() != 0 {
		t.Errorf("after a reset %+v", c)
	}
}

func TestFaults(t *testing.T) {
	s, url := open(t)
	content := strings.Repeat("x", 100000)
	if _, err := s.Put("data", "key", []byte(content), nil); err != nil {
		t.Fatal(err)
	}
	one := func(fault ossserver.Fault) (*http.Response, string, error) {
		s.SetFault(func(q ossserver.Request) *ossserver.Fault {
			if q.Kind == ossserver.GetObject && q.Bucket == "data" && q.Key == "key" {
				return &fault
			}
			return nil
		})
		return get(t, url+"/data/key")
	}
	for status, code := range map[int]string{403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 429: "TooManyRequests", 500: "InternalError", 503: "RateLimit"} {
		response, body, err := one(ossserver.Fault{Status: status, RetryAfter: 1500 * time.Millisecond})
		if err != nil || response.StatusCode != status || !strings.Contains(body, code) || response.Header.Get("Retry-After") != "2" {
			t.Errorf("%d: %v %s", status, err, body)
		}
	}
	if response, body, err := one(ossserver.Fault{Cut: true, CutAfter: 777}); err == nil || len(body) != 777 || response.ContentLength != 100000 {
		t.Errorf("cut: %d bytes, %v", len(body), err)
	}
	if _, body, err := one(ossserver.Fault{Corrupt: true}); err != nil || body == content || body[1:] != content[1:] {
		t.Errorf("corrupted: %d bytes, %v", len(body), err)
	}
	if _, _, err := one(ossserver.Fault{Drop: true}); err == nil {
		t.Error("dropped: no error")
	}
	begin := time.Now()
	if _, body, err := one(ossserver.Fault{BytesPerSecond: 400000, Delay: 50 * time.Millisecond}); err != nil || body != content {
		t.Errorf("slowed: %d bytes, %v", len(body), err)
	}
	if took := time.Since(begin); took < 250*time.Millisecond {
		t.Errorf("100 kB at 400 kB/s after 50 ms took %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.SetFault(func(ossserver.Request) *ossserver.Fault { return &ossserver.Fault{Hang: true} })
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, url+"/data/key", nil)
	if response, err := http.DefaultClient.Do(r); err == nil {
		_ = response.Body.Close()
		t.Error("hanging: got a response")
	}
	s.SetFault(nil)
	if _, body, err := get(t, url+"/data/key"); err != nil || body != content {
		t.Errorf("afterwards: %d bytes, %v", len(body), err)
	}
}

// TestDirectoryIsServedInPlace checks that files are objects with the MD5 of
// their bytes as tag, and that changes on disk are visible in the bucket.
func TestDirectoryIsServedInPlace(t *testing.T) {
	s, url := open(t)
	dir := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a/b.txt", "hello")
	if err := s.ServeDirectory("files", dir); err != nil {
		t.Fatal(err)
	}
	response, body, err := get(t, url+"/files/a/b.txt", "Range", "bytes=1-3", "x-oss-range-behavior", "standard")
	if err != nil || body != "ell" || response.Header.Get("ETag") != `"5D41402ABC4B2A76B9719D911017C592"` {
		t.Fatalf("%q, %v, %v", body, response.Header, err)
	}
	write("a/b.txt", "other")
	write("c", "new")
	if _, body, err := get(t, url+"/files/a/b.txt"); err != nil || body != "other" {
		t.Errorf("%q, %v", body, err)
	}
	objects, err := s.List("files", "")
	if err != nil || len(objects) != 2 || objects[0].Key != "a/b.txt" || objects[0].ETag != "795F3202B17CB6BC3D4B771D8C6C9EAF" || objects[1].Key != "c" {
		t.Errorf("%+v, %v", objects, err)
	}
	if _, err := s.Put("files", "d/e", []byte("put"), map[string]string{"mode": "420"}); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "d", "e")); err != nil || string(raw) != "put" {
		t.Errorf("%q, %v", raw, err)
	}
	if err := s.Delete("files", "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "c")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("deleted: %v", err)
	}
	if response, _, err := get(t, url+"/files/..%2F..%2Fetc/passwd"); err != nil || response.StatusCode == http.StatusOK {
		t.Errorf("out of the directory: %v, %v", response, err)
	}
	if err := s.ServeDirectory("missing", filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing directory is served")
	}
}

func TestDirect(t *testing.T) {
	s, _ := open(t)
	put, err := s.Put("data", "k", []byte("v"), map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	raw, got, err := s.Get("data", "k")
	if err != nil || string(raw) != "v" || got.ETag != put.ETag || got.Metadata["a"] != "b" {
		t.Errorf("%q, %+v, %v", raw, got, err)
	}
	for i := range 2500 {
		if _, err := s.Put("data", fmt.Sprintf("many/%04d", i), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := s.List("data", "many/"); err != nil || len(all) != 2500 {
		t.Errorf("listed %d, %v", len(all), err)
	}
	if err := s.Delete("data", "k"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get("data", "k"); !errors.Is(err, ossserver.ErrNotFound) {
		t.Errorf("after deleting: %v", err)
	}
	s.DeleteBucket("data")
	if _, err := s.List("data", ""); !errors.Is(err, ossserver.ErrNotFound) {
		t.Errorf("after deleting the bucket: %v", err)
	}
	for _, bad := range []string{"", "ab", "-abc", "A_b", strings.Repeat("a", 64)} {
		if err := s.CreateBucket(bad); err == nil {
			t.Errorf("bucket %q was made", bad)
		}
	}
}
