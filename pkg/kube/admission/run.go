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
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jindo-io/jindo/pkg/kube/admission/certs"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Options of a process.
type Options struct {
	// Listen is where API servers ask, HealthListen where /healthz, /readyz and
	// /metrics are; the latter empty is nowhere.
	Listen, HealthListen string
	// Namespace that the product runs in.
	Namespace string
	// Hosts by which API servers reach it, beside those of the Service.
	Hosts []string
	// Image of sidecars where no runtime names one, and its pull policy.
	Image, PullPolicy string
	// AuthorityLife and LeafLife of certificates; those of package certs when 0.
	AuthorityLife, LeafLife time.Duration
	// Drain is how long requests are answered after the context's end, until
	// everybody has heard that this replica goes.
	Drain  time.Duration
	Logger *slog.Logger
}

// shutdown is how long requests in progress may take after draining.
const shutdown = 6 * time.Second

// Run answers until the context ends.
func Run(ctx context.Context, config *rest.Config, o Options) error {
	if o.Image == "" {
		return errors.New("no image of sidecars is given: set JINDO_IMAGE, or --image")
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

// process is one replica.
type process struct {
	o        Options
	registry *prometheus.Registry
	sight    *sight
	source   *certs.Source
	server   *Server
	health   *health
}

func newProcess(config *rest.Config, o Options) (*process, error) {
	p := &process{o: o, registry: prometheus.NewRegistry()}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if p.sight, err = newSight(config, o.Namespace); err != nil {
		return nil, err
	}
	p.source = certs.New(certs.Options{
		Client: p.sight.live, Namespace: o.Namespace, Secret: names.WebhookAuthority, Service: names.Webhook,
		Mutating: names.PodWebhooks, Validating: names.ValidatingWebhooks,
		Hosts: o.Hosts, AuthorityLife: o.AuthorityLife, LeafLife: o.LeafLife, Logger: o.Logger,
	})
	watchCertificate(p.registry, p.source.Expires)
	p.server = NewServer(ServerOptions{
		Cached: p.sight.cache, Live: p.sight.live, Image: o.Image, PullPolicy: o.PullPolicy, Registry: p.registry, Logger: o.Logger,
	})
	p.health = newHealth(p.registry)
	p.health.check("caches", p.sight.ready)
	p.health.check("certificate", p.source.Ready)
	p.health.remark(p.source.Missing)
	return p, nil
}

// run serves first and drains last: what it needs to answer outlives the
// context by the time of draining.
func (p *process) run(ctx context.Context) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.o.Listen)
	if err != nil {
		return fmt.Errorf("listening for the API server on %s: %w", p.o.Listen, err)
	}
	p.health.check("listener", func() error { return nil })
	server := p.https()
	group.Go(func() error {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving the API server: %w", err)
		}
		return nil
	})
	group.Go(func() error { return p.sight.run(serving, p.source.Poke) })
	group.Go(func() error { return p.source.Run(serving) })
	if p.o.HealthListen != "" {
		group.Go(func() error { return p.health.serve(serving, p.o.HealthListen) })
	}
	group.Go(func() error {
		defer stop()
		select {
		case <-serving.Done():
		case <-ctx.Done():
			p.drain(serving)
		}
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdown)
		defer cancel()
		return server.Shutdown(ending)
	})
	p.o.Logger.Info("running", "listen", listener.Addr(), "namespace", p.o.Namespace, "image", p.o.Image)
	return group.Wait()
}

// drain answers on until nobody sends requests here any more.
func (p *process) drain(serving context.Context) {
	p.o.Logger.Info("draining", "for", p.o.Drain)
	p.health.check("draining", func() error { return errors.New("this replica is going") })
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
