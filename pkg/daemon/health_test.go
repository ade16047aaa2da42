package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func get(t *testing.T, h *Health, path string) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	h.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

func TestReadiness(t *testing.T) {
	h := NewHealth()
	if code, _ := get(t, h, "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("without checks: got %d, want 503", code)
	}
	var failing error
	h.AddCheck("disk", func() error { return nil })
	h.AddCheck("leader", func() error { return failing })
	if code, body := get(t, h, "/readyz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("got %d %q, want 200", code, body)
	}
	failing = errors.New("unknown")
	if code, body := get(t, h, "/readyz"); code != http.StatusServiceUnavailable || body != "leader: unknown\n" {
		t.Errorf("got %d %q, want the failing check", code, body)
	}
	if code, _ := get(t, h, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz of a component that is not ready: got %d, want 200", code)
	}
}

func TestAddCheckReplacesACheckOfThatName(t *testing.T) {
	h := NewHealth()
	h.AddCheck("listener", func() error { return errors.New("not listening yet") })
	h.AddCheck("caches", func() error { return errors.New("not synced") })
	if err := h.Ready(); err == nil || err.Error() != "listener: not listening yet\ncaches: not synced" {
		t.Errorf("got %v, want both errors in the order of their checks", err)
	}
	h.AddCheck("listener", func() error { return nil })
	if err := h.Ready(); err == nil || err.Error() != "caches: not synced" {
		t.Errorf("got %v after the check was replaced", err)
	}
}

func TestReadinessForAView(t *testing.T) {
	h := NewHealth()
	h.AddCheck("mount", func() error { return nil })
	if code, _ := get(t, h, "/readyz?view=1"); code != http.StatusServiceUnavailable {
		t.Errorf("without a view check: got %d, want 503", code)
	}
	h.SetViewCheck(func(view uint64) error {
		if view > 7 {
			return errors.New("uses view 7")
		}
		return nil
	})
	for path, want := range map[string]int{
		"/readyz": http.StatusOK, "/readyz?view=7": http.StatusOK, "/readyz?view=8": http.StatusServiceUnavailable,
		"/readyz?view=x": http.StatusServiceUnavailable, "/readyz?view=-1": http.StatusServiceUnavailable,
	} {
		if code, body := get(t, h, path); code != want {
			t.Errorf("%s: got %d %q, want %d", path, code, body, want)
		}
	}
}

func TestWarningsDoNotMakeAComponentUnready(t *testing.T) {
	h := NewHealth()
	h.SetWarnings(func() []string { return []string{"no webhook configuration", "old certificate"} })
	if code, body := get(t, h, "/readyz"); code != http.StatusServiceUnavailable || strings.Contains(body, "warning") {
		t.Errorf("without checks: got %d %q", code, body)
	}
	h.AddCheck("listener", func() error { return nil })
	want := "ok\nwarning: no webhook configuration\nwarning: old certificate\n"
	if code, body := get(t, h, "/readyz"); code != http.StatusOK || body != want {
		t.Errorf("got %d %q, want %q", code, body, want)
	}
}

func TestMetrics(t *testing.T) {
	if code, body := get(t, NewHealth(), "/metrics"); code != http.StatusOK || !strings.Contains(body, "go_goroutines") {
		t.Errorf("got %d %.60q", code, body)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "reviews_total"}))
	if code, body := get(t, NewHealthFor(registry), "/metrics"); code != http.StatusOK || !strings.Contains(body, "reviews_total 0") || strings.Contains(body, "go_goroutines") {
		t.Errorf("of an existing registry: got %d %.60q", code, body)
	}
}

// listen returns a listener on a free port of this host.
func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestServeFinishesRequestsInProgress(t *testing.T) {
	h, started, release := NewHealth(), make(chan struct{}), make(chan struct{})
	h.limits.shutdown = time.Minute
	h.AddCheck("slow", func() error {
		close(started)
		<-release
		return nil
	})
	listener := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.serve(ctx, listener) }()
	type result struct {
		code int
		err  error
	}
	results := make(chan result, 1)
	go func() {
		response, err := http.Get("http://" + listener.Addr().String() + "/readyz")
		if err != nil {
			results <- result{err: err}
			return
		}
		response.Body.Close()
		results <- result{code: response.StatusCode}
	}()
	<-started
	cancel()
	select {
	case err := <-ended:
		t.Fatalf("Serve returned %v while a request was in progress", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if got := <-results; got.err != nil || got.code != http.StatusOK {
		t.Errorf("the request in progress: got %+v", got)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestServeClosesConnectionsOfSilentClients(t *testing.T) {
	for name, test := range map[string]struct {
		limits  limits
		request string
	}{
		"header": {limits{header: time.Millisecond, read: time.Minute, idle: time.Minute}, "GET /healthz HTTP/1.1\r\n"},
		"read":   {limits{header: time.Minute, read: time.Millisecond, idle: time.Minute}, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"},
		"idle":   {limits{header: time.Minute, read: time.Minute, idle: time.Millisecond}, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			h := NewHealth()
			h.limits = test.limits
			listener := listen(t)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- h.serve(ctx, listener) }()
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, test.request); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
				t.Error("the connection stayed open")
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		})
	}
	for name, limit := range map[string]time.Duration{
		"header": defaultLimits.header, "read": defaultLimits.read, "write": defaultLimits.write, "idle": defaultLimits.idle, "shutdown": defaultLimits.shutdown,
	} {
		if limit <= 0 {
			t.Errorf("no %s limit by default", name)
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestServeNamesATakenPort(t *testing.T) {
	listener := listen(t)
	defer listener.Close()
	if err := NewHealth().Serve(t.Context(), listener.Addr().String()); err == nil || !strings.Contains(err.Error(), listener.Addr().String()) {
		t.Fatalf("got %v, want an error with the address", err)
	}
}

func TestServeReturnsWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewHealth().serve(ctx, listen(t)); err != nil {
		t.Fatal(err)
	}
}
