package shaper

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// store serves /size/N as N bytes, /chunks/N in chunks, and echoes what is PUT.
func store(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		switch {
		case r.Method == http.MethodPut:
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Host", r.Host)
			_, _ = w.Write(body)
		case strings.HasPrefix(r.URL.Path, "/chunks/"):
			_, _ = fmt.Sscanf(r.URL.Path, "/chunks/%d", &n)
			for range n {
				_, _ = fmt.Fprint(w, strings.Repeat("c", 1000))
				w.(http.Flusher).Flush()
			}
		default:
			_, _ = fmt.Sscanf(r.URL.Path, "/size/%d", &n)
			w.Header().Set("Content-Length", fmt.Sprint(n))
			_, _ = w.Write(bytes.Repeat([]byte("s"), n))
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func start(t *testing.T, shape Shape) *Proxy {
	t.Helper()
	p, err := Start("127.0.0.1", store(t).Listener.Addr().String(), shape)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func get(t *testing.T, client *http.Client, method, url, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestProxyForwardsAndCounts(t *testing.T) {
	p := start(t, Shape{})
	client, url := &http.Client{}, "http://"+p.Address()
	defer client.CloseIdleConnections()
	for _, n := range []int{0, 1, 100_000, 3_000_000} {
		if got := get(t, client, "GET", fmt.Sprintf("%s/size/%d", url, n), ""); len(got) != n {
			t.Errorf("of %d bytes, %d arrived", n, len(got))
		}
	}
	if got := get(t, client, "GET", url+"/chunks/20", ""); got != strings.Repeat("c", 20_000) {
		t.Errorf("in chunks, %d bytes of 20000 arrived", len(got))
	}
	if got := get(t, client, "PUT", url+"/x", "content"); got != "content" {
		t.Errorf("what was sent came back as %q", got)
	}
	get(t, client, "HEAD", url+"/size/10", "")
	get(t, client, "GET", url+"/size/10?list-type=2&prefix=a", "")
	// A request is counted when its response was forwarded: the client may have read it
	// a moment before.
	c := p.Counts()
	for deadline := time.Now().Add(time.Minute); c.All() < 8 && time.Now().Before(deadline); c = p.Counts() {
		time.Sleep(time.Millisecond)
	}
	if want := int64(3_100_001 + 20_000 + 7 + 10); c.Received != want || c.Sent != 7 {
		t.Errorf("counted %d bytes received and %d sent, want %d and 7", c.Received, c.Sent, want)
	}
	if c.Requests[Get] != 5 || c.Requests[Head] != 1 || c.Requests[List] != 1 || c.Requests[Write] != 1 || c.All() != 8 {
		t.Errorf("counted %v", c.Requests)
	}
}

// The lower bounds follow from the shape; a busy machine only adds to them.
func TestShape(t *testing.T) {
	p := start(t, Shape{FirstByte: 30 * time.Millisecond, PerConnection: 8 << 20, Total: 16 << 20})
	client, url := &http.Client{}, "http://"+p.Address()
	defer client.CloseIdleConnections()
	begin := time.Now()
	get(t, client, "GET", url+"/size/1", "")
	if took := time.Since(begin); took < 30*time.Millisecond {
		t.Errorf("the first byte took %v", took)
	}
	begin = time.Now()
	get(t, client, "GET", fmt.Sprintf("%s/size/%d", url, 2<<20), "")
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("2 MiB at 8 MiB/s took %v", took)
	}
	begin = time.Now()
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() { get(t, client, "GET", fmt.Sprintf("%s/size/%d", url, 2<<20), "") })
	}
	readers.Wait()
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("8 MiB over 4 connections at 16 MiB/s in all took %v", took)
	}
}

func TestCloseEndsTransfers(t *testing.T) {
	p := start(t, Shape{PerConnection: 1 << 10})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		response, err := http.Get("http://" + p.Address() + "/size/10000000")
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	}()
	for p.open() < 2 { // until the request is forwarded
		time.Sleep(time.Millisecond)
	}
	p.Close()
	<-ended
}

func (p *Proxy) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}
