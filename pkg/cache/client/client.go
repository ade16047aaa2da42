package client

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Masters return the view. The client of pkg/master/client implements it.
type Masters interface {
	// View returns the state of the cluster.
	View(ctx context.Context) (*commonv1.ClusterView, error)
}

// DefaultPoll is the default of Config.Poll: within this time every client uses a
// view that all workers have.
const DefaultPoll = 5 * time.Second

// Config configures a Client. Zero values mean the defaults given.
type Config struct {
	Topology topology.Topology
	Identity *mtls.Identity
	// Masters may be nil; then only workers are used.
	Masters Masters
	// ViewFile stores the newest view; "" stores none.
	ViewFile string
	// SocketDir is the directory of the sockets of the workers on this host, from
	// which bytes are read without TLS; "" reads all over TLS.
	SocketDir string
	Logger    *slog.Logger
	Clock     func() time.Time

	// MountState returns the state of the mount of this process, which is sent with
	// each request for epochs. It may be nil, and return nil.
	MountState func() *workerv1.MountState

	// Poll is the interval at which an idle client requests epochs: DefaultPoll.
	Poll time.Duration
	// ViewTimeout bounds one request for epochs or the view: 3 s.
	ViewTimeout time.Duration
	// NameTimeout bounds one request for names to one worker: 30 s.
	NameTimeout time.Duration
	// Silence is the time after which the next worker is tried as well: 2 s.
	Silence time.Duration
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&c.Poll, DefaultPoll},
		{&c.ViewTimeout, 3 * time.Second},
		{&c.NameTimeout, 30 * time.Second},
		{&c.Silence, 2 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// Client is a client of the workers of one runtime. It is safe for concurrent
// use.
type Client struct {
	config  Config
	current atomic.Pointer[view]
	// changes holds a token if the view changed since it was last received.
	changes chan struct{}
	// known is closed once there is a view.
	known chan struct{}
	// hints are names of workers that have a newer view.
	hints chan string
	// hurry holds a token if a caller knows that there is a newer view.
	hurry chan struct{}
	// waiters are callers of Current.
	waiters chan chan<- error

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	// adopting serialises changes of the view and of its file.
	adopting sync.Mutex

	small  *small
	copies *copies

	mu      sync.Mutex
	closed  bool
	closing bool
	workers map[string]*worker
}

// New creates a Client and starts to request the view. It returns an error only
// for a configuration that can never work; a view file that cannot be read is
// logged. The caller must close the Client.
func New(config Config) (*Client, error) {
	config = config.withDefaults()
	if config.Identity == nil {
		return nil, fmt.Errorf("create worker client: the identity is missing")
	}
	if err := config.Topology.Validate(); err != nil {
		return nil, fmt.Errorf("create worker client: invalid topology: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		config:  config,
		changes: make(chan struct{}, 1),
		known:   make(chan struct{}),
		hints:   make(chan string, 16),
		hurry:   make(chan struct{}, 1),
		waiters: make(chan chan<- error),
		ctx:     ctx,
		cancel:  cancel,
		workers: map[string]*worker{},
	}
	c.small, c.copies = newSmall(c), newCopies(c)
	kept, err := loadView(config.ViewFile)
	if err != nil {
		config.Logger.Warn("cannot use the view file", "error", err)
	}
	if kept != nil {
		if _, err := c.adopt(kept, false); err != nil {
			config.Logger.Warn("cannot use the view file", "error", err)
		}
	}
	c.work.Go(c.keepUp)
	c.work.Go(c.serveCurrent)
	return c, nil
}

// spawn runs f on a goroutine that Close waits for. It reports false, and does not
// run f, if the client is being closed.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.work.Go(f)
	return true
}

// Close cancels the requests in progress and closes the connections.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.cancel()
	c.work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, w := range c.workers {
		w.close()
	}
	clear(c.workers)
	return nil
}

// View returns the newest view; nil until there is one. The caller must not
// change it.
func (c *Client) View() *commonv1.ClusterView {
	v := c.current.Load()
	if v == nil {
		return nil
	}
	return v.ClusterView
}

// Wait blocks until there is a view.
func (c *Client) Wait(ctx context.Context) error {
	select {
	case <-c.known:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the view of cluster %s: no master, worker or file %q has returned one: %w", c.config.Topology.Name, c.config.ViewFile, context.Cause(ctx))
	}
}

// Hurry requests the newest view from the masters soon, independent of the next
// poll. It does not block.
func (c *Client) Hurry() {
	select {
	case c.hurry <- struct{}{}:
	default: // A request is queued already.
	}
}

// Changes holds a token when View has changed. It supports one receiver.
func (c *Client) Changes() <-chan struct{} { return c.changes }

// adopt uses a view if it is newer than the current one, and stores it if keep
// is set. It reports whether the view was newer.
func (c *Client) adopt(offered *commonv1.ClusterView, keep bool) (bool, error) {
	want := c.config.Topology.ClusterID
	if got := offered.GetClusterId(); want != "" && got != want {
		return false, fmt.Errorf("the view is of cluster %q, the topology of %q", got, want)
	}
	c.adopting.Lock()
	defer c.adopting.Unlock()
	before := c.current.Load()
	if before != nil && before.GetIndex() >= offered.GetIndex() {
		return false, nil
	}
	if before != nil && before.GetClusterId() != offered.GetClusterId() {
		return false, fmt.Errorf("the view is of cluster %q, the current one of %q", offered.GetClusterId(), before.GetClusterId())
	}
	c.current.Store(newView(offered, c.config.Topology))
	if before == nil {
		close(c.known)
	}
	select {
	case c.changes <- struct{}{}:
	default:
	}
	if !keep {
		return true, nil
	}
	if err := saveView(c.config.ViewFile, offered); err != nil {
		c.config.Logger.Warn("the view was not stored for the next start", "error", err)
	}
	return true, nil
}

// worker returns the connections to a member of a ring. They are created when
// they are first needed, and when the member's address has changed.
func (c *Client) worker(member *commonv1.RingMember) (*worker, error) {
	host, port := member.GetHost(), int(member.GetPort())
	if known, ok := c.config.Topology.Worker(member.GetName()); ok && host == "" {
		host, port = known.Host, known.Port
	}
	address := net.JoinHostPort(host, strconv.Itoa(port))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("the client is closed: %w", ErrUnreachable)
	}
	w := c.workers[member.GetName()]
	if w != nil && w.address == address {
		return w, nil
	}
	fresh, err := newWorker(c.config, member.GetName(), address)
	if err != nil {
		return nil, fmt.Errorf("connect to worker %s: %w: %w", member.GetName(), ErrUnreachable, err)
	}
	if w != nil {
		w.close()
	}
	c.workers[member.GetName()] = fresh
	return fresh, nil
}

// ordered returns all known workers in the order of a key: those of the ring,
// then those of the topology that are not in the ring yet.
func (c *Client) ordered(key string) []*commonv1.RingMember {
	v := c.current.Load()
	if v == nil {
		return topologyRing(c.config.Topology).Order(key)
	}
	return append(v.ring.Order(key), v.outside...)
}
