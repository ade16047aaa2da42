package admission

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jindo-io/jindo/pkg/daemon"
	"github.com/jindo-io/jindo/pkg/kube/admission/certs"
	"github.com/jindo-io/jindo/pkg/kube/ctrlreader"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/netlimit"
)

// Options configures Run.
type Options struct {
	// Listen is the address for API servers. HealthListen is the address of
	// /healthz, /readyz and /metrics; if it is empty, they are not served.
	Listen, HealthListen string
	// Namespace of the installation. Defaults to names.SystemNamespace.
	Namespace string
	// Hosts are further host names of the certificate, in addition to those of the
	// Service.
	Hosts []string
	// Image of sidecars whose runtime does not specify one, and its pull policy.
	Image, PullPolicy string
	// HostPaths are the directories of nodes that runtimes may use.
	HostPaths hostpath.Policy
	// AuthorityLife and LeafLife are the lifetimes of certificates. They default
	// to those of package certs.
	AuthorityLife, LeafLife time.Duration
	// Drain is how long requests are accepted after the context is canceled, so
	// that API servers can learn that this replica is terminating.
	Drain time.Duration
	// Logger defaults to one that discards everything.
	Logger *slog.Logger
}

// shutdownTimeout is how long requests in progress may take after draining.
const shutdownTimeout = 6 * time.Second

// Run serves API servers until ctx is canceled.
func Run(ctx context.Context, config *rest.Config, o Options) error {
	if o.Image == "" {
		return errors.New("the image of sidecars is not set: set JINDO_IMAGE or --image")
	}
	if o.Namespace == "" {
		o.Namespace = names.SystemNamespace
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ctrl.SetLogger(logr.FromSlogHandler(o.Logger.Handler()))
	p, err := newProcess(config, o)
	if err != nil {
		return err
	}
	return p.run(ctx)
}

// process is one replica of the webhook.
type process struct {
	o       Options
	cluster *cluster
	source  *certs.Source
	server  *Server
	health  *daemon.Health
}

func newProcess(config *rest.Config, o Options) (*process, error) {
	p := &process{o: o, health: daemon.NewHealth()}
	var err error
	if p.cluster, err = newCluster(config, o.Namespace); err != nil {
		return nil, err
	}
	p.source = certs.New(certs.Options{
		Client: p.cluster.live, Namespace: o.Namespace, Secret: names.WebhookAuthority, Service: names.Webhook,
		Mutating: names.PodWebhooks, Validating: names.ValidatingWebhooks,
		Hosts: o.Hosts, AuthorityLife: o.AuthorityLife, LeafLife: o.LeafLife, Logger: o.Logger,
	})
	registerCertificateExpiry(p.health.Registry, p.source.Expires)
	p.server = NewServer(ServerOptions{
		Cached: ctrlreader.New(p.cluster.cache), Live: ctrlreader.New(p.cluster.live), Image: o.Image, PullPolicy: o.PullPolicy, HostPaths: o.HostPaths, Registry: p.health.Registry, Logger: o.Logger,
	})
	p.health.AddCheck("listener", func() error { return errors.New("not listening yet") })
	p.health.AddCheck("caches", p.cluster.ready)
	p.health.AddCheck("certificate", p.source.Ready)
	p.health.SetWarnings(p.source.Missing)
	return p, nil
}

// run serves until ctx is canceled and requests are drained. Caches and
// certificates are kept up to date until then.
func (p *process) run(ctx context.Context) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.o.Listen)
	if err != nil {
		return fmt.Errorf("listen for the API server on %s: %w", p.o.Listen, err)
	}
	p.health.AddCheck("listener", func() error { return nil })
	server := p.https()
	limited := netlimit.Listen(listener, netlimit.Config{Port: "webhook", Limits: connectionLimits(), Logger: p.o.Logger, Registry: p.health.Registry})
	group.Go(func() error {
		if err := server.ServeTLS(limited, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the API server: %w", err)
		}
		return nil
	})
	group.Go(func() error { return p.cluster.run(serving, p.source.Poke) })
	group.Go(func() error { return p.source.Run(serving) })
	if p.o.HealthListen != "" {
		group.Go(func() error { return p.health.Serve(serving, p.o.HealthListen) })
	}
	group.Go(func() error {
		defer stop()
		select {
		case <-serving.Done():
		case <-ctx.Done():
			p.drain(serving)
		}
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		return server.Shutdown(ending)
	})
	p.o.Logger.Info("started", "listen", listener.Addr(), "namespace", p.o.Namespace, "image", p.o.Image)
	return group.Wait()
}

// connectionLimits are those of the port. API servers are not authenticated: they
// have a few connections, from few addresses.
func connectionLimits() netlimit.Limits { return netlimit.Limits{Pending: 1024, PerAddress: 64} }

// drain reports the replica as not ready, and waits until API servers no longer
// send requests to it.
func (p *process) drain(serving context.Context) {
	p.o.Logger.Info("draining", "duration", p.o.Drain)
	p.health.AddCheck("draining", func() error { return errors.New("this replica is terminating") })
	timer := time.NewTimer(p.o.Drain)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-serving.Done():
	}
}

func (p *process) https() *http.Server {
	return &http.Server{
		Handler:           p.server.Handler(),
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.source.Certificate},
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 15 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(p.o.Logger.Handler(), slog.LevelDebug),
	}
}
