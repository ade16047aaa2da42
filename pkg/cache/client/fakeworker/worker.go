package fakeworker

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/test/ports"
)

// Worker serves like a worker, with the faults that the test sets.
type Worker struct {
	Name string

	workerv1.UnimplementedDirectoryServer
	workerv1.UnimplementedCacheServer
	t        testing.TB
	cluster  *Cluster
	address  string
	identity *mtls.Identity
	view     atomic.Pointer[commonv1.ClusterView]

	// Ranges, Names and Epochs count requests.
	Ranges, Names, Epochs atomic.Int64
	// Mount is the state of the mount in the last request for epochs.
	Mount atomic.Pointer[workerv1.MountState]
	// forgotten holds the forgotten names, as directory/name.
	forgotten sync.Map
	// cached holds the keys whose bytes are cached.
	cached sync.Map

	mu sync.Mutex
	// fault applies to ranges, nameFault to names; nil means none.
	fault     func(n int64, r *http.Request) Fault
	nameFault func(ctx context.Context) error
	server    *http.Server
	grpc      *grpc.Server
	done      chan struct{}
	cancel    context.CancelFunc
}

func newWorker(t testing.TB, c *Cluster, name string) *Worker {
	t.Helper()
	address := net.JoinHostPort(c.host, strconv.Itoa(ports.ReserveAt(t, c.host)))
	w := &Worker{Name: name, t: t, cluster: c, address: address, identity: c.Identity(mtls.Worker, name)}
	t.Cleanup(w.Stop)
	return w
}

// SetView sets the view of this worker; nil means none.
func (w *Worker) SetView(v *commonv1.ClusterView) { w.view.Store(v) }

// Cache makes the bytes of a key, or the names of a directory, cached.
func (w *Worker) Cache(key string) { w.cached.Store(key, true) }

// Cached reports whether the bytes of a key are cached.
func (w *Worker) Cached(key string) bool {
	_, ok := w.cached.Load(key)
	return ok
}

// Fail sets the faults of ranges: fault is called with the number of the
// request, from 1.
func (w *Worker) Fail(fault func(n int64, r *http.Request) Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
}

// FailAlways sets one fault for all ranges.
func (w *Worker) FailAlways(f Fault) { w.Fail(func(int64, *http.Request) Fault { return f }) }

// Heal ends the faults of ranges and names.
func (w *Worker) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.nameFault = nil, nil
}

// FailNames sets the error of every request for names, epochs and the view. A
// fault that blocks until its context ends hangs.
func (w *Worker) FailNames(fault func(ctx context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nameFault = fault
}

// HangNames hangs every request for names until the client cancels.
func (w *Worker) HangNames() {
	w.FailNames(func(ctx context.Context) error {
		<-ctx.Done()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			// The client has the same deadline, and must not get a response before it
			// has noticed that.
			w.mu.Lock()
			stopped := w.done
			w.mu.Unlock()
			<-stopped
		}
		return ctx.Err()
	})
}

func (w *Worker) currentFault(n int64, r *http.Request) Fault {
	w.mu.Lock()
	fault := w.fault
	w.mu.Unlock()
	if fault == nil {
		return Fault{}
	}
	return fault(n, r)
}

func (w *Worker) names(ctx context.Context) error {
	w.mu.Lock()
	fault := w.nameFault
	w.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(ctx)
}

// cachedNames returns the error of a request for names of a directory, for which
// Cache was called if it is cached. Cached names need no store, so that faults do
// not apply to them.
func (w *Worker) cachedNames(ctx context.Context, only bool, dir string) error {
	switch {
	case w.Cached(dir):
		return nil
	case only:
		return wire.WithReason(status.New(codes.FailedPrecondition, "not cached"), wire.CodeNotCached)
	}
	return w.names(ctx)
}

// Start listens and serves; it may be called again after Stop.
func (w *Worker) Start() {
	w.t.Helper()
	listener, err := net.Listen("tcp", w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	calls := grpc.NewServer()
	workerv1.RegisterDirectoryServer(calls, w)
	workerv1.RegisterCacheServer(calls, w)
	ctx, cancel := context.WithCancel(context.Background())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	server := &http.Server{
		Protocols: protocols,
		// Hanging requests end with the server.
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0),
		TLSConfig:   w.identity.ServerConfig(),
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
				calls.ServeHTTP(rw, r)
				return
			}
			w.serveRange(rw, r)
		}),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	done := make(chan struct{})
	w.server, w.grpc, w.done, w.cancel = server, calls, done, cancel
	go func() {
		defer close(done)
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			w.t.Errorf("%s: %v", w.Name, err)
		}
	}()
}

// Stop ends like a killed process: connections break, and new ones are refused.
func (w *Worker) Stop() {
	w.mu.Lock()
	server, calls, done, cancel := w.server, w.grpc, w.done, w.cancel
	w.server = nil
	w.mu.Unlock()
	if server == nil {
		return
	}
	cancel()
	_ = server.Close()
	<-done
	calls.Stop()
}

// Lookup returns an entry from the bucket.
func (w *Worker) Lookup(ctx context.Context, in *workerv1.LookupRequest) (*workerv1.LookupResponse, error) {
	w.Names.Add(1)
	if err := w.cachedNames(ctx, in.GetOnlyIfCached(), string(in.GetDirectory())); err != nil {
		return nil, err
	}
	if in.GetMountId() != MountID {
		return nil, status.Error(codes.NotFound, "no such mount")
	}
	for _, name := range w.cluster.Bucket.names(string(in.GetDirectory())) {
		if strings.TrimSuffix(name, "/") == string(in.GetName()) {
			return &workerv1.LookupResponse{Found: true, Entry: w.entry(string(in.GetDirectory()), name), Epochs: w.epochs()}, nil
		}
	}
	return &workerv1.LookupResponse{Epochs: w.epochs()}, nil
}

// List returns a page of names from the bucket.
func (w *Worker) List(ctx context.Context, in *workerv1.ListRequest) (*workerv1.ListResponse, error) {
	w.Names.Add(1)
	if err := w.cachedNames(ctx, in.GetOnlyIfCached(), string(in.GetDirectory())); err != nil {
		return nil, err
	}
	if in.GetMountId() != MountID {
		return nil, status.Error(codes.NotFound, "no such mount")
	}
	out := &workerv1.ListResponse{Epochs: w.epochs()}
	limit := int(in.GetLimit())
	if limit == 0 {
		limit = 3
	}
	for _, name := range w.cluster.Bucket.names(string(in.GetDirectory())) {
		if strings.TrimSuffix(name, "/") <= string(in.GetAfter()) {
			continue
		}
		if len(out.Entries) == limit {
			out.More = true
			break
		}
		out.Entries = append(out.Entries, w.entry(string(in.GetDirectory()), name))
	}
	return out, nil
}

// Forget records the name.
func (w *Worker) Forget(ctx context.Context, in *workerv1.ForgetRequest) (*workerv1.ForgetResponse, error) {
	if err := w.names(ctx); err != nil {
		return nil, err
	}
	w.forgotten.Store(string(in.GetDirectory())+"/"+string(in.GetName()), true)
	return &workerv1.ForgetResponse{}, nil
}

// Forgot reports whether a name was forgotten.
func (w *Worker) Forgot(dir, name string) bool {
	_, ok := w.forgotten.Load(dir + "/" + name)
	return ok
}

func (w *Worker) entry(dir, name string) *workerv1.Entry {
	if plain, ok := strings.CutSuffix(name, "/"); ok {
		return &workerv1.Entry{Name: []byte(plain), Kind: workerv1.EntryKind_ENTRY_KIND_DIRECTORY}
	}
	key := name
	if dir != "" {
		key = dir + "/" + name
	}
	o, _ := w.cluster.Bucket.Get(key)
	return &workerv1.Entry{Name: []byte(name), Kind: workerv1.EntryKind_ENTRY_KIND_FILE, Key: []byte(key), Size: int64(len(o.Data)), Etag: []byte(o.ETag)}
}

func (w *Worker) epochs() *workerv1.Epochs {
	v := w.view.Load()
	out := &workerv1.Epochs{Ring: v.GetRing().GetEpoch()}
	if len(v.GetMounts()) > 0 {
		out.Mount = v.GetMounts()[0].GetEpoch()
	}
	return out
}

// GetView returns the view that was set.
func (w *Worker) GetView(ctx context.Context, _ *workerv1.GetViewRequest) (*workerv1.GetViewResponse, error) {
	if err := w.names(ctx); err != nil {
		return nil, err
	}
	return &workerv1.GetViewResponse{View: w.view.Load()}, nil
}

// GetEpochs returns the epochs of the view that was set.
func (w *Worker) GetEpochs(ctx context.Context, request *workerv1.GetEpochsRequest) (*workerv1.GetEpochsResponse, error) {
	w.Epochs.Add(1)
	w.Mount.Store(request.GetMount())
	if err := w.names(ctx); err != nil {
		return nil, err
	}
	v := w.view.Load()
	out := &workerv1.GetEpochsResponse{ViewIndex: v.GetIndex(), Ring: v.GetRing().GetEpoch(), Mounts: map[string]uint64{}}
	for _, m := range v.GetMounts() {
		out.Mounts[m.GetId()] = m.GetEpoch()
	}
	return out, nil
}
