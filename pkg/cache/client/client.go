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
	"github.com/jindo-io/jindo/pkg/topology"
)

// Masters answer for the view; the client of package master/client is one.
type Masters interface {
	// View reads the state of the cluster.
	View(ctx context.Context) (*commonv1.ClusterView, error)
}

// Config of a Client. Zero values mean the defaults named.
type Config struct {
	Topology topology.Topology
	Identity *mtls.Identity
	// Masters may be nil; then workers alone are asked.
	Masters Masters
	// ViewFile keeps the newest view; "" keeps none.
	ViewFile string
	Logger   *slog.Logger
	Clock    func() time.Time

	// Poll is how often an idle client asks for epochs: 5 s.
	Poll time.Duration
	// AskTimeout of one question about epochs or the view: 3 s.
	AskTimeout time.Duration
	// NameTimeout of one question about names, at one worker: 30 s.
	NameTimeout time.Duration
	// Silence after which the next worker is asked as well: 2 s.
	Silence time.Duration
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&c.Poll, 5 * time.Second},
		{&c.AskTimeout, 3 * time.Second},
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

// Client of the workers of one runtime. Safe for concurrent use.
type Client struct {
	config  Config
	current atomic.Pointer[view]
	// changes has a token when the view changed since it was last taken.
	changes chan struct{}
	// known is closed when there is a view.
	known chan struct{}
	// hints are workers that know more than this client.
	hints chan string
	// hurry has a token when somebody knows that there is a newer view.
	hurry chan struct{}
	// asks are callers of Current.
	asks chan chan<- error

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	// adopting serialises changes of the view, and its file.
	adopting sync.Mutex

	mu      sync.Mutex
	closed  bool
	workers map[string]*worker
}

// New makes a Client and starts asking for the view. It fails only on what can
// never work; a file that cannot be read is logged. Close it.
func New(config Config) (*Client, error) {
	config = config.withDefaults()
	if config.Identity == nil {
		return nil, fmt.Errorf("starting the client of the workers: it has no identity")
	}
	if err := config.Topology.Validate(); err != nil {
		return nil, fmt.Errorf("starting the client of the workers: the roster cannot be used: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		config:  config,
		changes: make(chan struct{}, 1),
		known:   make(chan struct{}),
		hints:   make(chan string, 16),
		hurry:   make(chan struct{}, 1),
		asks:    make(chan chan<- error),
		ctx:     ctx,
		cancel:  cancel,
		workers: map[string]*worker{},
	}
	kept, err := loadView(config.ViewFile)
	if err != nil {
		config.Logger.Warn("the kept view is of no use", "reason", err)
	}
	if kept != nil {
		if _, err := c.adopt(kept, false); err != nil {
			config.Logger.Warn("the kept view is of no use", "reason", err)
		}
	}
	c.work.Go(c.keepUp)
	c.work.Go(c.answerCallers)
	return c, nil
}

// Close ends what is under way.
func (c *Client) Close() error {
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

// View is the newest view; nil until one is known. It must not be changed.
func (c *Client) View() *commonv1.ClusterView {
	v := c.current.Load()
	if v == nil {
		return nil
	}
	return v.ClusterView
}

// Wait until a view is known.
func (c *Client) Wait(ctx context.Context) error {
	select {
	case <-c.known:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the view of cluster %s: neither its masters, nor its workers, nor the file %q had one: %w", c.config.Topology.Name, c.config.ViewFile, context.Cause(ctx))
	}
}

// Hurry asks the masters for the newest view soon, whatever the time of the
// next question.
func (c *Client) Hurry() {
	select {
	case c.hurry <- struct{}{}:
	default: // Somebody said so already.
	}
}

// Changes has a token when View answers something new. For one listener.
func (c *Client) Changes() <-chan struct{} { return c.changes }

// adopt takes a view that is newer than the one held, and keeps it.
func (c *Client) adopt(offered *commonv1.ClusterView, keep bool) (bool, error) {
	want := c.config.Topology.ClusterID
	if got := offered.GetClusterId(); want != "" && got != want {
		return false, fmt.Errorf("the view is of cluster %q, the roster of %q", got, want)
	}
	c.adopting.Lock()
	defer c.adopting.Unlock()
	before := c.current.Load()
	if before != nil && before.GetIndex() >= offered.GetIndex() {
		return false, nil
	}
	if before != nil && before.GetClusterId() != offered.GetClusterId() {
		return false, fmt.Errorf("the view is of cluster %q, this client's of %q", offered.GetClusterId(), before.GetClusterId())
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
		c.config.Logger.Warn("the view is used, but not kept for the next start", "reason", err)
	}
	return true, nil
}

// worker answers the connections to a member of a ring, made when they are
// first needed, and anew when its address has changed.
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
	fresh, err := newWorker(c.config.Identity, member.GetName(), address, c.config.Clock)
	if err != nil {
		return nil, fmt.Errorf("connecting to worker %s: %w: %w", member.GetName(), ErrUnreachable, err)
	}
	if w != nil {
		w.close()
	}
	c.workers[member.GetName()] = fresh
	return fresh, nil
}

// everybody answers all workers that are known, in the order of a key: the
// ring's, then those of the roster that are in no ring yet.
func (c *Client) everybody(key string) []*commonv1.RingMember {
	v := c.current.Load()
	if v == nil {
		return topologyRing(c.config.Topology).Order(key)
	}
	return append(v.ring.Order(key), v.outside...)
}
