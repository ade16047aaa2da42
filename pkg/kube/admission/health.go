package admission

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// health is ready when every check holds, and says what is remarkable even
// then.
type health struct {
	registry *prometheus.Registry

	mu      sync.Mutex
	checks  []namedCheck
	remarks func() []string
}

type namedCheck struct {
	name  string
	holds func() error
}

func newHealth(registry *prometheus.Registry) *health {
	h := &health{registry: registry, remarks: func() []string { return nil }}
	h.check("listener", func() error { return errors.New("not listening yet") })
	return h
}

// check adds a condition, or replaces the one of that name.
func (h *health) check(name string, holds func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = slices.DeleteFunc(h.checks, func(c namedCheck) bool { return c.name == name })
	h.checks = append(h.checks, namedCheck{name, holds})
}

func (h *health) remark(remarks func() []string) { h.remarks = remarks }

func (h *health) ready() error {
	h.mu.Lock()
	checks := slices.Clone(h.checks)
	h.mu.Unlock()
	var failed error
	for _, c := range checks {
		if err := c.holds(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return failed
}

func (h *health) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := h.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
		for _, remark := range h.remarks() {
			fmt.Fprintln(w, "but", remark)
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.registry, promhttp.HandlerOpts{}))
	return mux
}

func (h *health) serve(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for health checks on %s: %w", address, err)
	}
	server := &http.Server{Handler: h.handler(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving health checks on %s: %w", address, err)
	}
	return nil
}
