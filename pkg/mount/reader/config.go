package reader

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/prometheus/client_golang/prometheus"
)

// Cluster is the workers as a reader sees them.
type Cluster interface {
	// View is the newest view; nil until one is known.
	View() *commonv1.ClusterView
	// Changes has a token when View answers something new.
	Changes() <-chan struct{}
	// Current brings View up to what the masters say at the time of the call,
	// or answers why it may be older.
	Current(ctx context.Context) error
	// Lookup, List and Forget ask a directory's owner, then others.
	Lookup(ctx context.Context, mount, dir, name string) (*workerv1.LookupResponse, error)
	List(ctx context.Context, mount, dir, after string, limit int) (*workerv1.ListResponse, error)
	Forget(ctx context.Context, mount, dir, name string) error
	// Candidates for the byte at an offset, in the order of the ladder.
	Candidates(o client.Object, offset int64) []client.Candidate
	// Fetch makes one attempt at one candidate.
	Fetch(ctx context.Context, candidate client.Candidate, o client.Object, offset int64, p []byte, limits client.Terms) (n int, cached bool, err error)
}

var _ Cluster = (*client.Client)(nil)

// LocalFile is a sealed file of a worker on this host. It stays good when the
// worker dies.
type LocalFile interface {
	io.ReaderAt
	io.Closer
}

// LocalFiles lends the sealed files of workers on this host.
type LocalFiles interface {
	// Open answers the whole, verified bytes of a version. Workers are asked
	// in the order of their names given. Any error means that there is none
	// now.
	Open(ctx context.Context, v Version, workers []string) (LocalFile, error)
}

// StoreOpener opens the store of a mount, for a reader that holds credentials.
type StoreOpener func(ctx context.Context, mount *commonv1.Mount) (ufs.Store, error)

// Config of a Reader. Zero values mean the defaults named.
type Config struct {
	Cluster Cluster
	// Local may be nil: then every byte comes over the network.
	Local LocalFiles
	// OpenStore may be nil: then the workers are all there is.
	OpenStore StoreOpener

	// ReadTimeout of one read, over all rungs and tries: 60 s.
	ReadTimeout time.Duration
	// RefusedTimeout is how long a read is retried while the store refuses
	// connections: 5 s.
	RefusedTimeout time.Duration
	// Memory for bytes read ahead, of all handles together: 256 MiB. What does
	// not fit is not read ahead.
	Memory int64
	// Silence of a rung after which the next one is tried: 2 s. It doubles
	// with every round.
	Silence time.Duration
	// Attempt is how long one rung may take for one range: 15 s. It doubles
	// with every round.
	Attempt time.Duration
	// FirstWindow read ahead from the start of a file: 1 MiB.
	FirstWindow int64
	// MaxWindow read ahead of a sequential reader: 32 MiB.
	MaxWindow int64
	// LocalEvery is how often a handle without a sealed file asks for one: 1 s.
	LocalEvery time.Duration

	Logger   *slog.Logger
	Registry prometheus.Registerer
	Clock    func() time.Time
}

func orElse[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (c Config) withDefaults() (Config, error) {
	if c.Cluster == nil {
		return c, fmt.Errorf("starting the reader: it has no cluster")
	}
	c.ReadTimeout = orElse(c.ReadTimeout, time.Minute)
	c.RefusedTimeout = orElse(c.RefusedTimeout, 5*time.Second)
	c.Memory = orElse(c.Memory, 256<<20)
	c.Silence = orElse(c.Silence, 2*time.Second)
	c.Attempt = orElse(c.Attempt, 15*time.Second)
	c.FirstWindow = orElse(c.FirstWindow, 1<<20)
	c.MaxWindow = orElse(c.MaxWindow, 32<<20)
	c.LocalEvery = orElse(c.LocalEvery, time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.FirstWindow < minSegment || c.MaxWindow < c.FirstWindow || c.Memory < 0 {
		return c, fmt.Errorf("starting the reader: the first window must be at least %d bytes and at most the largest window, the memory not negative", minSegment)
	}
	return c, nil
}
