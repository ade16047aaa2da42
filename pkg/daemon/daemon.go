// Package daemon is what every server binary needs around its own work: a
// context that ends with SIGTERM, a logger, and the port for health and
// metrics.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Main runs work until it returns or SIGTERM or SIGINT cancels its context,
// prints its error, and exits with 0 or 1.
func Main(work func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := work(ctx)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// Logger writes text lines to stderr, each with the component's name.
func Logger(component string, debug bool) *slog.Logger {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	handler := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})
	return slog.New(handler).With("component", component)
}

// Health serves /healthz, /readyz and /metrics. The zero value is not usable;
// make one with NewHealth.
type Health struct {
	// Registry holds the component's metrics.
	Registry *prometheus.Registry

	mu      sync.Mutex
	ready   map[string]func() error
	reached func(view uint64) error
}

// NewHealth makes a Health with the metrics of the process and of Go.
func NewHealth() *Health {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Health{Registry: registry, ready: map[string]func() error{}}
}

// Ready adds a condition for readiness; check answers why it does not hold.
// Until one is added the component is not ready.
func (h *Health) Ready(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready[name] = check
}

// Views adds a check for who asks /readyz?view=N: that the component acts on
// view N of the runtime, or a newer one; reached answers why it does not. Who
// changed the runtime finds out so when the change is in force.
func (h *Health) Views(reached func(view uint64) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reached = reached
}

// reachedView is what is wrong about a view that somebody asked for.
func reachedView(asked string, reached func(view uint64) error) error {
	view, err := strconv.ParseUint(asked, 10, 64)
	if err != nil {
		return fmt.Errorf("view=%s: the index of a view is a number", asked)
	}
	if reached == nil {
		return errors.New("view: this component follows none, or is starting")
	}
	return reached(view)
}

// Handler answers the three paths.
func (h *Health) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", h.serveReady)
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.Registry, promhttp.HandlerOpts{}))
	return mux
}

func (h *Health) serveReady(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	reached := h.reached
	checks := make(map[string]func() error, len(h.ready))
	for name, check := range h.ready {
		checks[name] = check
	}
	h.mu.Unlock()
	if len(checks) == 0 {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	var failed error
	for name, check := range checks {
		if err := check(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
		}
	}
	if asked := r.URL.Query().Get("view"); asked != "" && failed == nil {
		failed = reachedView(asked, reached)
	}
	if failed != nil {
		http.Error(w, failed.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// Serve answers on address until the context ends.
func (h *Health) Serve(ctx context.Context, address string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for health checks: %w", err)
	}
	server := &http.Server{Handler: h.Handler(), ReadHeaderTimeout: 5 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving health checks: %w", err)
	}
	return nil
}
