// Package admission implements the admission webhook. It injects sidecars that
// serve Datasets into pods, and validates Datasets, JindoRuntimes and DataLoads.
//
// The decisions are made by functions that the command line uses too:
// [inject.Plan] for pods, and [v1alpha1.Validate] and [validation.CheckChange] for
// the other kinds. This package serves them over HTTP with bounded time and memory.
// It rejects pods that it cannot process, and it never changes the cluster.
package admission

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// ValidationPath is the URL path for Datasets, JindoRuntimes and DataLoads.
const ValidationPath = "/validate-data-fluid-io-v1alpha1"

// ServerOptions configures a Server.
type ServerOptions struct {
	// Cached reads Datasets, JindoRuntimes and PersistentVolumeClaims from caches.
	// Live reads objects that are not in the caches, and Secrets, from the API
	// server.
	Cached, Live client.Reader
	// Image of sidecars whose runtime does not specify one, and its pull policy.
	Image, PullPolicy string
	// HostPaths are the directories of nodes that runtimes may use.
	HostPaths hostpath.Policy
	// Registry of the metrics.
	Registry prometheus.Registerer
	Logger   *slog.Logger
}

// Server handles AdmissionReviews. It is safe for concurrent use.
type Server struct {
	o       ServerOptions
	reader  client.Reader
	metrics *metrics
	memory  *semaphore.Weighted
}

// NewServer returns a Server.
func NewServer(o ServerOptions) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	return &Server{
		o: o, reader: secretsLive{o.Cached, o.Live}, metrics: newMetrics(o.Registry), memory: semaphore.NewWeighted(memory),
	}
}

// Handler returns the handler of all paths.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(names.WebhookPath, &handler{Server: s, path: names.WebhookPath, review: s.pod})
	mux.Handle(ValidationPath, &handler{Server: s, path: ValidationPath, review: s.object})
	return mux
}

// secretsLive reads Secrets from the API server and other objects from caches.
type secretsLive struct {
	client.Reader
	live client.Reader
}

// Get implements client.Reader.
func (r secretsLive) Get(ctx context.Context, key client.ObjectKey, into client.Object) error {
	if _, is := into.(*corev1.Secret); is {
		return r.live.Get(ctx, key, into)
	}
	return r.Reader.Get(ctx, key, into)
}
