package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/jindo-io/jindo/pkg/netlimit"
)

// Registry registers metrics and gathers them. *prometheus.Registry and the
// registry of controller-runtime implement it.
type Registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// Health serves three paths over HTTP: /healthz succeeds while the process
// serves requests, /readyz succeeds while every check does, and /metrics
// returns the metrics of Registry. Its methods are safe for concurrent use,
// except that Serve must be called once only. The zero value is not usable; use
// NewHealth or NewHealthFor.
type Health struct {
	// Registry holds the metrics of the component. It must not be changed.
	Registry Registry
	// Connections limits those of the port. It must not be changed after Serve.
	Connections netlimit.Limits

	limits limits

	// mu guards the fields below. It is not held while a check runs.
	mu       sync.Mutex
	checks   []namedCheck
	view     func(view uint64) error
	warnings func() []string
}

type namedCheck struct {
	name  string
	check func() error
}

// limits bounds each phase of a connection, so that a client that stops
// reading or writing cannot hold it.
type limits struct{ header, read, write, idle, shutdown time.Duration }

var defaultLimits = limits{
	header: 5 * time.Second, read: 10 * time.Second, write: 30 * time.Second,
	idle: 30 * time.Second, shutdown: 2 * time.Second,
}

// maxHeader bounds the header of a request, in bytes.
const maxHeader = 8 << 10

// HealthLimits are those of the health port. Its clients are not authenticated:
// a kubelet, a controller and a collector of metrics need a few connections.
func HealthLimits() netlimit.Limits { return netlimit.Limits{Pending: 256, PerAddress: 64} }

// NewHealth returns a Health with a registry of its own, which holds the
// metrics of the process and of the Go runtime.
func NewHealth() *Health {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return NewHealthFor(registry)
}

// NewHealthFor returns a Health that serves the metrics of an existing
// registry. It registers nothing.
func NewHealthFor(registry Registry) *Health {
	return &Health{Registry: registry, Connections: HealthLimits(), limits: defaultLimits}
}

// AddCheck adds a readiness check, or replaces the check of that name. check
// returns an error while the component is not ready; it must not block, and may
// be called concurrently. Until the first check is added, the component is not
// ready.
func (h *Health) AddCheck(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.IndexFunc(h.checks, func(c namedCheck) bool { return c.name == name }); i >= 0 {
		h.checks[i].check = check
		return
	}
	h.checks = append(h.checks, namedCheck{name, check})
}

// SetViewCheck sets the check for requests of the form /readyz?view=N, which
// succeed when the component uses view N of the runtime or a newer one. A
// controller waits for them to learn that a change is in effect. check returns
// an error while the component uses an older view.
func (h *Health) SetViewCheck(check func(view uint64) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view = check
}

// SetWarnings sets the function that lists problems that do not make the
// component unready. /readyz returns one line for each, after "ok".
func (h *Health) SetWarnings(list func() []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warnings = list
}

// Ready returns nil if every check succeeds, and otherwise the errors of those
// that fail, in the order in which the checks were added, each with the name of
// its check.
func (h *Health) Ready() error {
	h.mu.Lock()
	checks := slices.Clone(h.checks)
	h.mu.Unlock()
	if len(checks) == 0 {
		return errors.New("starting")
	}
	var failed error
	for _, c := range checks {
		if err := c.check(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return failed
}

// checkView returns an error unless the component uses the requested view or a
// newer one.
func checkView(requested string, check func(view uint64) error) error {
	view, err := strconv.ParseUint(requested, 10, 64)
	if err != nil {
		return fmt.Errorf("invalid view %q: must be a number", requested)
	}
	if check == nil {
		return errors.New("view: this component uses no views, or is starting")
	}
	return check(view)
}

// Handler returns the handler of the three paths.
func (h *Health) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", h.serveReady)
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.Registry, promhttp.HandlerOpts{}))
	return mux
}

func (h *Health) serveReady(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	view, warnings := h.view, h.warnings
	h.mu.Unlock()
	err := h.Ready()
	if requested := r.URL.Query().Get("view"); requested != "" && err == nil {
		err = checkView(requested, view)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
	if warnings == nil {
		return
	}
	for _, warning := range warnings() {
		fmt.Fprintln(w, "warning:", warning)
	}
}

// Serve serves on address until ctx is done, then gives requests in progress
// two seconds to finish and returns nil.
func (h *Health) Serve(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for health checks on %s: %w", address, err)
	}
	return h.serve(ctx, listener)
}

func (h *Health) serve(ctx context.Context, listener net.Listener) error {
	return h.ServeHandler(ctx, listener, h.Handler())
}

// ServeHandler serves another handler on a listener, with the limits of the
// health port, as Serve does.
func (h *Health) ServeHandler(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: h.limits.header, ReadTimeout: h.limits.read,
		WriteTimeout: h.limits.write, IdleTimeout: h.limits.idle, MaxHeaderBytes: maxHeader,
		// Messages about requests that a stranger may send.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	limited := netlimit.Listen(listener, netlimit.Config{Port: "health", Limits: h.Connections, Registry: h.Registry})
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.limits.shutdown)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(limited)
	if !cancel() {
		<-stopped // Serve returns as soon as Shutdown begins.
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve health checks on %s: %w", listener.Addr(), err)
	}
	return nil
}
