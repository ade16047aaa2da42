package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
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
		t.Errorf("ready before anything is known: %d", code)
	}
	var failing error
	h.Ready("disk", func() error { return nil })
	h.Ready("leader", func() error { return failing })
	if code, _ := get(t, h, "/readyz"); code != http.StatusOK {
		t.Errorf("not ready: %d", code)
	}
	failing = errors.New("none is known")
	code, body := get(t, h, "/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "leader: none is known") {
		t.Errorf("got %d %q", code, body)
	}
	if code, _ := get(t, h, "/healthz"); code != http.StatusOK {
		t.Errorf("a component that is not ready is not dead: %d", code)
	}
}

func TestReadinessForAView(t *testing.T) {
	h := NewHealth()
	h.Ready("mount", func() error { return nil })
	if code, _ := get(t, h, "/readyz?view=1"); code != http.StatusServiceUnavailable {
		t.Errorf("a component that follows no view: %d", code)
	}
	h.Views(func(view uint64) error {
		if view > 7 {
			return errors.New("acts on view 7")
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

func TestMetrics(t *testing.T) {
	if code, body := get(t, NewHealth(), "/metrics"); code != http.StatusOK || !strings.Contains(body, "go_goroutines") {
		t.Errorf("got %d %.60q", code, body)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- NewHealth().Serve(ctx, address) }()
	deadline := time.Now().Add(10 * time.Second)
	for {
		response, err := http.Get("http://" + address + "/healthz")
		if err == nil {
			response.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("never answered: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestServeNamesATakenPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := NewHealth().Serve(t.Context(), listener.Addr().String()); err == nil || !strings.Contains(err.Error(), listener.Addr().String()) {
		t.Fatalf("got %v", err)
	}
}
