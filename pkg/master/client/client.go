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
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

const (
	// defaultTimeout of a call whose context has no deadline.
	defaultTimeout = 10 * time.Second
	// attemptTimeout of the first attempt at one master. It doubles, up to
	// longestAttempt, for one that took a call and did not answer in time:
	// masters on a starved machine are slow and not dead.
	attemptTimeout    = time.Second
	maxAttemptTimeout = 4 * time.Second
	// maxAnswer bounds an answer: a view of the largest cluster fits.
	maxAnswer = 64 << 20
	// memberTimeout of a question that only one member can answer.
	memberTimeout = 2 * time.Second
	// transferTimeout of handing leadership over.
	transferTimeout = 8 * time.Second
)

// Config of a client.
type Config struct {
	// Topology names the masters.
	Topology topology.Topology
	// Identity is who calls.
	Identity *mtls.Identity
	// Holder says for people who this is: "worker hadoop-jindofs-worker-0".
	Holder string
	// Logger may be nil.
	Logger *slog.Logger
	// Dial reaches a master; nil is to connect to its address.
	Dial func(ctx context.Context, member topology.Member) (net.Conn, error)
}

// Client of the masters. It is safe for concurrent use.
type Client struct {
	config  Config
	members []*member
	leader  leader
	// turn is held by the command that is under way.
	turn    chan struct{}
	session session
}

// member is one master and the connection to it.
type member struct {
	topology.Member
	conn *grpc.ClientConn
}

// errNoMasters is the answer to every call of a runtime that runs without.
var errNoMasters = errors.New("this runtime has no masters")

// New makes a client. It connects when it is first used, and again whenever it
// has to. A roster without masters is one of a runtime that runs without: every
// call fails at once.
func New(config Config) (*Client, error) {
	if config.Identity == nil {
		return nil, errors.New("making a client of the masters: no identity is given")
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{config: config, turn: make(chan struct{}, 1)}
	for _, m := range config.Topology.Masters {
		options := []grpc.DialOption{grpc.WithStatsHandler(sentHandler{}), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer))}
		if config.Dial != nil {
			options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return config.Dial(ctx, m) }))
		}
		conn, err := config.Identity.Dial(m.Address(), mtls.Master, m.Name, options...)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("making a client of the masters: %w", err)
		}
		c.members = append(c.members, &member{Member: m, conn: conn})
	}
	return c, nil
}

// Close ends every connection; calls under way fail.
func (c *Client) Close() {
	for _, m := range c.members {
		_ = m.conn.Close()
	}
}

// View reads the replicated state, linearizably.
func (c *Client) View(ctx context.Context) (*commonv1.ClusterView, error) {
	var answer *masterv1.GetViewResponse
	err := c.read(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		answer, err = masterv1.NewCoordinationClient(conn).GetView(ctx, &masterv1.GetViewRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the view of the cluster: %w", err)
	}
	return answer.GetView(), nil
}

// ListWorkers is the ring with what the leader has heard of each worker.
func (c *Client) ListWorkers(ctx context.Context) ([]*masterv1.WorkerState, error) {
	var answer *masterv1.ListWorkersResponse
	err := c.read(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		answer, err = masterv1.NewCoordinationClient(conn).ListWorkers(ctx, &masterv1.ListWorkersRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing the workers: %w", err)
	}
	return answer.GetWorkers(), nil
}

// RegisterWorker puts the caller into the ring, or refreshes its place, and
// returns the view that has it. clusterID is the one on the worker's disk, or
// empty. A worker that is in the ring as it is costs the masters no write.
func (c *Client) RegisterWorker(ctx context.Context, m *commonv1.RingMember, clusterID string) (*commonv1.ClusterView, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	view, err := c.View(ctx)
	if err == nil && (clusterID == "" || clusterID == view.GetClusterId()) && inRing(view.GetRing(), m) {
		return view, nil
	}
	var answer *masterv1.RegisterWorkerResponse
	err = c.command(ctx, func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error {
		var err error
		answer, err = masterv1.NewCoordinationClient(conn).RegisterWorker(ctx, &masterv1.RegisterWorkerRequest{
			Request: id, Member: m, ClusterId: clusterID,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("registering worker %s: %w", m.GetName(), err)
	}
	return answer.GetView(), nil
}

func inRing(ring *commonv1.Ring, m *commonv1.RingMember) bool {
	for _, there := range ring.GetMembers() {
		if proto.Equal(there, m) {
			return true
		}
	}
	return false
}

// RemoveWorker takes a worker out of the ring. One that lives will come back:
// stop it first.
func (c *Client) RemoveWorker(ctx context.Context, name string) error {
	err := c.command(ctx, func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error {
		_, err := masterv1.NewCoordinationClient(conn).RemoveWorker(ctx, &masterv1.RemoveWorkerRequest{Request: id, Name: name})
		return err
	})
	if err != nil {
		return fmt.Errorf("removing worker %s: %w", name, err)
	}
	return nil
}

// Mount adds a mount, or changes the one at its path, and tells whether that
// changed anything. The mount comes without id and epoch and returns with
// them.
func (c *Client) Mount(ctx context.Context, m *commonv1.Mount) (*commonv1.Mount, bool, error) {
	var answer *masterv1.MountResponse
	err := c.command(ctx, func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error {
		var err error
		answer, err = masterv1.NewCoordinationClient(conn).Mount(ctx, &masterv1.MountRequest{Request: id, Mount: m})
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("mounting %s at %s: %w", m.GetUri(), m.GetPath(), err)
	}
	return answer.GetMount(), answer.GetChanged(), nil
}

// Unmount removes the mount at a path.
func (c *Client) Unmount(ctx context.Context, path string) error {
	err := c.command(ctx, func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error {
		_, err := masterv1.NewCoordinationClient(conn).Unmount(ctx, &masterv1.UnmountRequest{Request: id, Path: path})
		return err
	})
	if err != nil {
		return fmt.Errorf("unmounting %s: %w", path, err)
	}
	return nil
}

// Invalidate grows the epoch of the mount at a path: everything cached about
// its names is looked up anew. It returns the epoch.
func (c *Client) Invalidate(ctx context.Context, path string) (uint64, error) {
	var answer *masterv1.InvalidateResponse
	err := c.command(ctx, func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error {
		var err error
		answer, err = masterv1.NewCoordinationClient(conn).Invalidate(ctx, &masterv1.InvalidateRequest{Request: id, Path: path})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("invalidating %s: %w", path, err)
	}
	return answer.GetEpoch(), nil
}

// withDeadline gives a context the default deadline if it has none.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, defaultTimeout)
}

// sendWatch notes that the headers of a call have gone out.
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
