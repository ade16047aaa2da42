package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

const (
	// defaultTimeout bounds a call whose context has no deadline.
	defaultTimeout = 10 * time.Second
	// attemptTimeout bounds the first attempt at one master. It doubles, up to
	// maxAttemptTimeout, for a master that received a call and did not respond
	// in time: masters on an overloaded machine are slow, not dead.
	attemptTimeout    = time.Second
	maxAttemptTimeout = 4 * time.Second
	// maxResponse bounds a response, in bytes. A view of the largest cluster
	// fits.
	maxResponse = 64 << 20
	// memberTimeout bounds a request that only one member can serve.
	memberTimeout = 2 * time.Second
	// transferTimeout bounds a transfer of leadership.
	transferTimeout = 8 * time.Second
)

// Config is the configuration of a client.
type Config struct {
	// Topology lists the masters. Client.SetTopology replaces it.
	Topology topology.Topology
	// Identity is the certificate of the caller.
	Identity *mtls.Identity
	// Holder describes the client in messages, for example "worker
	// hadoop-jindofs-worker-0".
	Holder string
	// Logger may be nil.
	Logger *slog.Logger
	// Dial connects to a master; nil connects to its address.
	Dial func(ctx context.Context, member topology.Member) (net.Conn, error)
}

// Client calls the masters of a runtime. It is safe for concurrent use.
type Client struct {
	config  Config
	members members
	leader  leader
	// turn is held by the command that is being executed.
	turn    chan struct{}
	session session
}

// errNoMasters is the error of every call of a runtime without masters.
var errNoMasters = errors.New("this runtime has no masters")

// New returns a client. It connects when it is first used, and reconnects when
// it has to. With a topology without masters, as of a runtime that has none,
// every call fails immediately.
func New(config Config) (*Client, error) {
	if config.Identity == nil {
		return nil, errors.New("create master client: identity is missing")
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{config: config, turn: make(chan struct{}, 1)}
	if err := c.SetTopology(config.Topology); err != nil {
		return nil, fmt.Errorf("create master client: %w", err)
	}
	return c, nil
}

// Close closes every connection. Running calls fail.
func (c *Client) Close() { c.members.close() }

// connect opens the connections to all masters that are not open, without waiting
// for them, so that a command that another master has to execute does not wait for
// a handshake.
func (c *Client) connect() {
	for _, m := range c.members.all() {
		if m.conn.GetState() == connectivity.Idle {
			m.conn.Connect()
		}
	}
}

// View returns the replicated state, linearizably.
func (c *Client) View(ctx context.Context) (*commonv1.ClusterView, error) {
	var response *masterv1.GetViewResponse
	err := c.read(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		response, err = masterv1.NewCoordinationClient(conn).GetView(ctx, &masterv1.GetViewRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read cluster view: %w", err)
	}
	return response.GetView(), nil
}

// ListWorkers returns the workers in the ring with the newest report of each
// that the leader received.
func (c *Client) ListWorkers(ctx context.Context) ([]*masterv1.WorkerState, error) {
	var response *masterv1.ListWorkersResponse
	err := c.read(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		response, err = masterv1.NewCoordinationClient(conn).ListWorkers(ctx, &masterv1.ListWorkersRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	return response.GetWorkers(), nil
}

// RegisterWorker adds the caller to the ring, or updates its entry, and returns
// a view that includes it. clusterID is the one on the worker's disk, or empty.
// If the ring already has the same entry, nothing is written to the log.
func (c *Client) RegisterWorker(ctx context.Context, m *commonv1.RingMember, clusterID string) (*commonv1.ClusterView, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	view, err := c.View(ctx)
	if err == nil && (clusterID == "" || clusterID == view.GetClusterId()) && inRing(view.GetRing(), m) {
		return view, nil
	}
	var response *masterv1.RegisterWorkerResponse
	err = c.command(ctx, func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error {
		var err error
		response, err = masterv1.NewCoordinationClient(conn).RegisterWorker(ctx, &masterv1.RegisterWorkerRequest{
			Request: id, Member: m, ClusterId: clusterID,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("register worker %s: %w", m.GetName(), err)
	}
	return response.GetView(), nil
}

func inRing(ring *commonv1.Ring, m *commonv1.RingMember) bool {
	for _, present := range ring.GetMembers() {
		if proto.Equal(present, m) {
			return true
		}
	}
	return false
}

// RemoveWorker removes a worker from the ring. A running worker registers
// again: stop it first.
func (c *Client) RemoveWorker(ctx context.Context, name string) error {
	err := c.command(ctx, func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error {
		_, err := masterv1.NewCoordinationClient(conn).RemoveWorker(ctx, &masterv1.RemoveWorkerRequest{Request: id, Name: name})
		return err
	})
	if err != nil {
		return fmt.Errorf("remove worker %s: %w", name, err)
	}
	return nil
}

// Mount adds a mount, or changes the one at its path, and reports whether that
// changed anything. The caller must leave the mount's id and epoch empty; the
// returned mount has them.
func (c *Client) Mount(ctx context.Context, m *commonv1.Mount) (*commonv1.Mount, bool, error) {
	var response *masterv1.MountResponse
	err := c.command(ctx, func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error {
		var err error
		response, err = masterv1.NewCoordinationClient(conn).Mount(ctx, &masterv1.MountRequest{Request: id, Mount: m})
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("mount %s at %s: %w", m.GetUri(), m.GetPath(), err)
	}
	return response.GetMount(), response.GetChanged(), nil
}

// Unmount removes the mount at a path.
func (c *Client) Unmount(ctx context.Context, path string) error {
	err := c.command(ctx, func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error {
		_, err := masterv1.NewCoordinationClient(conn).Unmount(ctx, &masterv1.UnmountRequest{Request: id, Path: path})
		return err
	})
	if err != nil {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return nil
}

// Invalidate increases the epoch of the mount at a path, which makes everything
// cached about its names stale, and returns the epoch.
func (c *Client) Invalidate(ctx context.Context, path string) (uint64, error) {
	var response *masterv1.InvalidateResponse
	err := c.command(ctx, func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error {
		var err error
		response, err = masterv1.NewCoordinationClient(conn).Invalidate(ctx, &masterv1.InvalidateRequest{Request: id, Path: path})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("invalidate %s: %w", path, err)
	}
	return response.GetEpoch(), nil
}

// withDeadline adds the default timeout to a context without a deadline.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, defaultTimeout)
}

// sentHandler records that the headers of a call were sent.
type sentHandler struct{}

var _ stats.Handler = sentHandler{}

type sentKey struct{}

// sent is set once a call may have reached a master.
type sent struct {
	mu  sync.Mutex
	yes bool
}

func (s *sent) set() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.yes = true
}

func (s *sent) get() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.yes
}

// TagRPC implements stats.Handler.
func (sentHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (sentHandler) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.OutHeader); !ok {
		return
	}
	if s, ok := ctx.Value(sentKey{}).(*sent); ok {
		s.set()
	}
}

// TagConn implements stats.Handler.
func (sentHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (sentHandler) HandleConn(context.Context, stats.ConnStats) {}
