package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/jindo-io/jindo/pkg/cache/fdpass"
	"github.com/jindo-io/jindo/pkg/cache/transport"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/fdsock"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/netlimit"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

const (
	// maxRequest bounds a gRPC request, in bytes.
	maxRequest = 1 << 20
	// maxStreams bounds the calls in progress of one connection.
	maxStreams = 1024
	// A peer that does not respond to a ping within pingTimeout is unreachable.
	pingEvery   = time.Minute
	pingTimeout = 20 * time.Second
	// bodyTimeout bounds the rest of a request that should have no body.
	bodyTimeout = time.Second
)

// Worker serves one member of the cache. Create one with New and call Run once.
type Worker struct {
	config  Config
	views   *views
	mounts  *mounts
	peers   *peers
	held    *held
	copies  *copies
	metrics *metrics
	drain   *drain
	// mountStates are those that FUSE servers have reported.
	mountStates *mountStates
	started     time.Time
	lanes       *lanes
	// changed holds a token when the view is newer than the mounts watched.
	changed chan struct{}

	storeBytes atomic.Uint64
	listener   net.Listener
	local      net.Listener   // socket for bytes; nil if there is none
	sealed     *fdpass.Server // nil if sealed files are not lent
	grpc       *grpc.Server
	http       *http.Server

	// refreshing serialises requests for a view with an unknown mount;
	// refreshed is the time of the last one.
	refreshing sync.Mutex
	refreshed  time.Time

	mu sync.Mutex
	// contact is the error of the last call to the masters.
	contact error
}

// New loads the worker's state from its disk and listens. It needs no master.
func New(config Config) (*Worker, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	w := &Worker{
		config: config, mounts: newMounts(config.OpenStore, config.StoreRequests, config.Logger),
		peers:       newPeers(config.Identity, config.SocketDir, config.PeerTimeout),
		mountStates: newMountStates(), started: time.Now(), changed: make(chan struct{}, 1),
	}
	w.copies, w.held, w.drain = newCopies(w), newHeld(w.peers), newDrain(w)
	var err, damaged error
	if w.views, damaged, err = openViews(config.DataDir, config.ClusterID, w.viewChanged); err != nil {
		return nil, fmt.Errorf("start worker %s: %w", config.Name, err)
	}
	if damaged != nil {
		config.Logger.Warn("the view on disk cannot be used; requesting it from the masters", "error", damaged)
	}
	if v := w.views.load(); v != nil {
		w.mounts.apply(v)
	}
	if w.metrics, err = newMetrics(config.Registry); err == nil {
		w.lanes = newLanes(config.MaxRequests, config.MaxParked, w.metrics)
		err = errors.Join(config.Registry.Register(newBlockMetrics(config.Blocks, w.storeBytes.Load)), config.Registry.Register(newMountMetrics(w)))
	}
	if err != nil {
		return nil, fmt.Errorf("start worker %s: register metrics: %w", config.Name, err)
	}
	if err := w.listen(); err != nil {
		return nil, fmt.Errorf("start worker %s: %w", config.Name, err)
	}
	if config.SocketDir != "" {
		w.listenSealed()
		w.listenLocal()
	}
	w.serve()
	return w, nil
}

// listen opens the port. Its connections are authenticated before the servers
// receive them.
func (w *Worker) listen() error {
	var config net.ListenConfig
	inner, err := config.Listen(context.Background(), "tcp", w.config.Listen)
	if err != nil {
		return err
	}
	w.listener = netlimit.Listen(inner, netlimit.Config{
		Port: "worker", Limits: w.config.Connections, Handshake: w.config.Identity.Handshake(readers...),
		Addresses: w.config.Addresses, Logger: w.config.Logger, Registry: w.config.Registry,
	})
	return nil
}

// listenSealed opens the socket of sealed files. Without it, readers on this host
// read over HTTP.
func (w *Worker) listenSealed() {
	var err error
	w.sealed, err = fdpass.Listen(fdpass.Config{
		Path: fdpass.SocketPath(w.config.SocketDir, w.config.Name), Group: socketGroup(w.config),
		Identity: w.config.Identity, Accept: readers, Limits: fdpass.Limits(), Lender: lender{w},
		Logger: w.config.Logger, Registry: w.config.Registry,
	})
	if err != nil {
		w.config.Logger.Warn("sealed files are not lent", "error", err)
	}
}

// listenLocal opens the socket for bytes. Without it, readers on this host use the
// port.
func (w *Worker) listenLocal() {
	inner, err := transport.Listen(transport.SocketPath(w.config.SocketDir, w.config.Name), socketGroup(w.config), w.config.Logger)
	if err != nil {
		w.config.Logger.Warn("bytes are not served on a socket", "error", err)
		return
	}
	w.local = netlimit.Listen(inner, netlimit.Config{
		Port: "socket", Limits: w.config.LocalConnections, Handshake: transport.Handshake(w.config.Identity, readers...),
		Logger: w.config.Logger, Registry: w.config.Registry,
	})
}

func socketGroup(config Config) int {
	if config.SocketGroup == 0 {
		return fdsock.NoGroup
	}
	return config.SocketGroup
}

// Addr returns the address that the worker listens on.
func (w *Worker) Addr() net.Addr { return w.listener.Addr() }

// serve creates the gRPC and the HTTP server of the port.
func (w *Worker) serve() {
	w.grpc = grpc.NewServer(append(Rights().Interceptors(), grpc.MaxRecvMsgSize(maxRequest))...)
	workerv1.RegisterDirectoryServer(w.grpc, &names{worker: w})
	workerv1.RegisterCacheServer(w.grpc, &cache{worker: w})
	workerv1.RegisterSnapshotsServer(w.grpc, newSnapshots(w))
	healthv1.RegisterHealthServer(w.grpc, health.NewServer())
	reflection.Register(w.grpc)
	w.http = &http.Server{
		Handler:           http.HandlerFunc(w.route),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    wire.MaxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      pingEvery, PingTimeout: pingTimeout, WriteByteTimeout: w.config.WriteTimeout,
		},
		ErrorLog: slog.NewLogLogger(w.config.Logger.Handler(), slog.LevelDebug),
	}
}

// route passes a request to gRPC or to the byte API.
func (w *Worker) route(rw http.ResponseWriter, r *http.Request) {
	switch {
	case r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
		// A call counts for its caller only once its request has arrived.
		timeout := w.config.WriteTimeout
		if r.URL.Path == workerv1.Snapshots_StoreSnapshot_FullMethodName {
			timeout = snapshotTimeout
		}
		_ = http.NewResponseController(rw).SetReadDeadline(time.Now().Add(timeout))
		w.grpc.ServeHTTP(rw, r)
	case strings.HasPrefix(r.URL.EscapedPath(), wire.ObjectsPath):
		if f := authorize(r); f != nil {
			f.Write(rw)
			return
		}
		if r.ContentLength != 0 {
			// The server reads the rest before the next request.
			_ = http.NewResponseController(rw).SetReadDeadline(time.Now().Add(bodyTimeout))
			f := &wire.Failure{Status: http.StatusBadRequest, Code: wire.CodeInvalid, Message: "the request has a body: send none"}
			f.Write(rw)
			return
		}
		w.serveObject(rw, r)
	case r.URL.Path == wire.BatchPath:
		if f := authorize(r); f != nil {
			f.Write(rw)
			return
		}
		w.serveBatch(rw, r)
	case r.URL.Path == wire.CopiesPath:
		if f := authorize(r); f != nil {
			f.Write(rw)
			return
		}
		w.copies.serve(rw, r)
	case r.URL.Path == wire.HeldPath:
		if f := authorize(r); f != nil {
			f.Write(rw)
			return
		}
		w.serveHeld(rw, r)
	default:
		f := &wire.Failure{
			Status: http.StatusNotFound, Code: wire.CodeInvalid,
			Message: "unknown path: this port serves " + wire.ObjectsPath + " and gRPC",
		}
		f.Write(rw)
	}
}

// authorize returns the failure to send if the peer may not read objects, else
// nil.
func authorize(r *http.Request) *wire.Failure {
	if r.TLS == nil {
		return forbidden("the connection is not authenticated")
	}
	peer, err := mtls.PeerOfState(*r.TLS)
	if err != nil {
		return forbidden(err.Error())
	}
	if !peer.Is(readers...) {
		return forbidden(fmt.Sprintf("%s may not read objects", peer))
	}
	return nil
}

// authorizeMount returns the failure to send if the peer, which authorize has
// accepted, may not read a mount, else nil.
func (w *Worker) authorizeMount(r *http.Request, id string) *wire.Failure {
	scope, err := mtls.ScopeOfState(*r.TLS)
	if err != nil {
		return forbidden(err.Error())
	}
	if reason := w.outside(scope, id); reason != "" {
		return forbidden(reason)
	}
	return nil
}

func forbidden(message string) *wire.Failure {
	return &wire.Failure{Status: http.StatusForbidden, Code: wire.CodePermission, Message: message}
}

// Run serves until the context ends, then lets requests finish within the grace
// period. A worker that is drained serves on until what it has cached has been moved,
// at most for the timeout of the drain. It returns nil then, and otherwise the error of
// the listener.
func (w *Worker) Run(ctx context.Context) error {
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		w.drain.await(following)
		stop()
	})()
	var wg sync.WaitGroup
	wg.Go(func() { w.follow(following) })
	wg.Go(func() { w.watchMounts(following) })
	if w.sealed != nil {
		wg.Go(func() {
			if err := w.sealed.Serve(following); err != nil {
				w.config.Logger.Warn("sealed files are not lent any more", "error", err)
			}
		})
	}
	served := make(chan error, 1)
	go func() { served <- w.http.Serve(w.listener) }()
	if w.local != nil {
		wg.Go(func() {
			if err := w.http.Serve(w.local); err != nil && !errors.Is(err, http.ErrServerClosed) {
				w.config.Logger.Warn("bytes are not served on the socket any more", "error", err)
			}
		})
	}
	var err error
	select {
	case err = <-served:
		_ = w.http.Close() // the socket too
	case <-following.Done():
		err = w.shutdown(context.WithoutCancel(ctx))
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
	}
	stop()
	wg.Wait()
	w.grpc.Stop()
	w.copies.close()
	w.held.close()
	w.drain.close()
	w.mounts.close()
	w.peers.close()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", w.config.Listen, err)
	}
	return nil
}

func (w *Worker) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.config.GracePeriod)
	defer cancel()
	if err := w.http.Shutdown(ctx); err != nil {
		w.config.Logger.Warn("requests in progress were aborted", "error", err)
		return w.http.Close()
	}
	return nil
}
