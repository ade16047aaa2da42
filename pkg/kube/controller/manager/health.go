package manager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// stopTimeout of the server of health checks.
const stopTimeout = 2 * time.Second

// health is ready when the caches of every controller are filled, whether or
// not this process leads.
type health struct {
	want  int32
	ready atomic.Int32
}

func newHealth(controllers int) *health { return &health{want: int32(controllers)} }

// started counts a manager whose caches are filled.
type started struct{ h *health }

func (h *health) started() *started { return &started{h: h} }

// Start implements manager.Runnable; managers call it once their caches are
// filled.
func (s *started) Start(ctx context.Context) error {
	s.h.ready.Add(1)
	<-ctx.Done()
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (s *started) NeedLeaderElection() bool { return false }

func (h *health) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if h.ready.Load() < h.want {
			http.Error(w, "reading what is in the cluster", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}))
	return mux
}

func (h *health) serve(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for health checks on %s: %w", address, err)
	}
	server := &http.Server{Handler: h.handler(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving health checks on %s: %w", address, err)
	}
	return nil
}
