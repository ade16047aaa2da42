package reader

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// Cluster gives access to the workers. Its methods must be safe for concurrent
// use.
type Cluster interface {
	// View returns the newest view, nil until one is known.
	View() *commonv1.ClusterView
	// Changes returns a channel that receives a token when View has changed.
	Changes() <-chan struct{}
	// Current updates View to the masters' state at the time of the call, or
	// returns the reason why View may be older.
	Current(ctx context.Context) error
	// Lookup, List and Forget send a request to the directory's owner, then to
	// other workers.
	Lookup(ctx context.Context, mount, dir, name string) (*workerv1.LookupResponse, error)
	List(ctx context.Context, mount, dir, after string, limit int) (*workerv1.ListResponse, error)
	Forget(ctx context.Context, mount, dir, name string) error
	// Candidates returns the workers for the byte at an offset, in the order of
	// the ladder.
	Candidates(o client.Object, offset int64) []client.Candidate
	// Fetch makes one request to one candidate.
	Fetch(ctx context.Context, candidate client.Candidate, o client.Object, offset int64, to client.Destination, limits client.Terms) (n int, cached bool, err error)
}

var _ Cluster = (*client.Client)(nil)

// LocalFile is a sealed file of a worker on this host. It stays readable when the
// worker dies.
type LocalFile interface {
	io.ReaderAt
	io.Closer
}

// LocalFiles lends the sealed files of workers on this host.
type LocalFiles interface {
	// Open returns the complete, verified bytes of a version. It tries the
	// workers in the given order. Any error means that no file is available
	// now.
	Open(ctx context.Context, v Version, workers []string) (LocalFile, error)
}

// StoreOpener opens the store of a mount, for a reader with credentials.
type StoreOpener func(ctx context.Context, mount *commonv1.Mount) (ufs.Store, error)

// Config configures a Reader. Zero values select the defaults named.
type Config struct {
	// Cluster is required.
	Cluster Cluster
	// Local may be nil; every byte then comes over the network.
	Local LocalFiles
	// OpenStore may be nil; the workers are then the only source.
	OpenStore StoreOpener

	// ReadTimeout is the deadline of one read, over all rungs and retries: 60 s.
	ReadTimeout time.Duration
	// RefusedTimeout is the time for which a read is retried while the store
	// refuses connections: 5 s.
	RefusedTimeout time.Duration
	// Memory bounds the bytes read ahead by all handles together: 256 MiB. What
	// does not fit is not read ahead.
	Memory int64
	// StallTimeout is the time without bytes from a rung after which the next
	// one is tried: 2 s. It doubles with every round.
	StallTimeout time.Duration
	// AttemptTimeout is the deadline of one rung for one range: 15 s. It doubles
	// with every round.
	AttemptTimeout time.Duration
	// FirstWindow is the number of bytes read ahead from the start of a file once
	// more than its first bytes are read: 1 MiB.
	FirstWindow int64
	// MaxWindow bounds the bytes read ahead of one sequential stream: 32 MiB.
	MaxWindow int64
	// StoreReads bounds the requests of one mount in progress that may make a
	// worker, or this process, read the store: 128. While as many are, further
	// reads request cached bytes only and then wait for their turn.
	StoreReads int64
	// StoreNames does the same for lookups and listings: 64. It must be well below
	// the calls that a worker accepts on one connection, which all mounts share.
	StoreNames int64
	// NameAge is the time for which an entry that was read from a worker may be
	// returned by later lookups; 0 for none. Names that are looked up are read in
	// pages then.
	NameAge time.Duration
	// OpenFiles is the number of files that this process may have open: 4,096. A quarter
	// of them may be sealed files that no handle uses.
	OpenFiles int
	// LocalTimeout is the time that the disk of a worker on this host gets for one
	// read of a sealed file before the next rung is tried: 2 s.
	LocalTimeout time.Duration
	// LocalInterval is the time between two requests for the sealed file of a
	// handle that has none: 1 s.
	LocalInterval time.Duration

	Logger   *slog.Logger
	Registry prometheus.Registerer
	Clock    func() time.Time
}

func (c Config) withDefaults() (Config, error) {
	if c.Cluster == nil {
		return c, fmt.Errorf("create reader: Cluster is missing")
	}
	c.ReadTimeout = cmp.Or(c.ReadTimeout, time.Minute)
	c.RefusedTimeout = cmp.Or(c.RefusedTimeout, 5*time.Second)
	c.Memory = cmp.Or(c.Memory, 256<<20)
	c.StallTimeout = cmp.Or(c.StallTimeout, 2*time.Second)
	c.AttemptTimeout = cmp.Or(c.AttemptTimeout, 15*time.Second)
	c.FirstWindow = cmp.Or(c.FirstWindow, 1<<20)
	c.MaxWindow = cmp.Or(c.MaxWindow, 32<<20)
	c.StoreReads = cmp.Or(c.StoreReads, 128)
	c.StoreNames = cmp.Or(c.StoreNames, 64)
	c.OpenFiles = cmp.Or(c.OpenFiles, 4096)
	c.LocalTimeout = cmp.Or(c.LocalTimeout, 2*time.Second)
	c.LocalInterval = cmp.Or(c.LocalInterval, time.Second)
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
		return c, fmt.Errorf("create reader: FirstWindow must be at least %d bytes and at most MaxWindow, and Memory must not be negative", minSegment)
	}
	if c.StoreReads < 1 || c.StoreNames < 1 {
		return c, fmt.Errorf("create reader: StoreReads and StoreNames must be positive")
	}
	return c, nil
}
