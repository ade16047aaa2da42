// Package admission is the webhook: it gives pods that ask for it the sidecar
// that serves their datasets, and refuses Datasets, JindoRuntimes and DataLoads
// that cannot work.
//
// What it decides is decided elsewhere, by pure functions that commands on a
// laptop use too: [inject.Plan] for pods, [v1alpha1.Validate] and
// [validation.CheckChange] for our own kinds. What this package adds is that any
// request gets a clear answer in bounded time and memory, that it answers a pod
// it cannot judge with a refusal, and that answering changes nothing in the
// cluster.
package admission

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// ValidationPath of our own kinds.
const ValidationPath = "/validate-data-fluid-io-v1alpha1"

// ServerOptions of a Server.
type ServerOptions struct {
	// Cached knows Datasets, JindoRuntimes and PersistentVolumeClaims. Live is
	// the API server, asked for what the cache does not know, and for Secrets.
	Cached, Live client.Reader
	// Image of sidecars where no runtime names one, and its pull policy.
	Image, PullPolicy string
	// Registry of the metrics.
	Registry prometheus.Registerer
	Logger   *slog.Logger
}

// Server answers AdmissionReviews.
type Server struct {
	o       ServerOptions
	reader  client.Reader
	metrics *metrics
	memory  *semaphore.Weighted
}

// NewServer makes one.
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

// Handler of all paths.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(names.WebhookPath, &handler{Server: s, path: names.WebhookPath, review: s.pod})
	mux.Handle(ValidationPath, &handler{Server: s, path: ValidationPath, review: s.object})
	return mux
}

// secretsLive reads Secrets past the cache, one by one, and what else there is
// from it.
type secretsLive struct {
	client.Reader
	live client.Reader
}

// Get implements client.Reader.
func (r secretsLive) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	if _, is := into.(*corev1.Secret); is {
		return r.live.Get(ctx, key, into, options...)
	}
	return r.Reader.Get(ctx, key, into, options...)
}
