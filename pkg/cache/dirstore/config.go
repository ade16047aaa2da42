package dirstore

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// Config configures a Store. Zero values mean the defaults given.
type Config struct {
	// Dir holds the database and nothing else. "" keeps everything in memory.
	Dir string
	// Clock is time.Now.
	Clock  func() time.Time
	Logger *slog.Logger

	// TTL is the lifetime of a listing of policy ALWAYS: 60 s.
	TTL time.Duration
	// ListingWait is how long a request waits for a listing in progress before
	// it queries the store itself: 1 s.
	ListingWait time.Duration
	// PageTimeout bounds one request to the store: 30 s.
	PageTimeout time.Duration
	// ListAfter is the number of lookups in a directory after which it is
	// listed: 3.
	ListAfter int
	// MaxEntries of one directory; a larger one is not cached: 1,000,000.
	MaxEntries int64
	// MaxTotal bounds the entries of all listings; the oldest listings are
	// dropped first: 10,000,000.
	MaxTotal int64
	// MaxListings bounds the concurrent listings of all directories of one mount:
	// 16.
	MaxListings int
	// CountEvery is the age at which a mount is counted again, at least a
	// hundred times the duration of the count: 10 min.
	CountEvery time.Duration
	// MaxCounted, CountRequests and CountTime are the budget of one count of a
	// mount: 20,000,000 objects, 40,000 requests, 30 min. A count that reaches one
	// of them ends with a lower bound.
	MaxCounted    int64
	CountRequests int
	CountTime     time.Duration
	// RecountEvery is the age at which a mount is counted again after a count that
	// ended at the budget: 24 h. It doubles with every such count, up to 8 times.
	RecountEvery time.Duration

	// fs is the file system; tests replace it.
	fs vfs.FS
}

func orElse[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.fs == nil {
		c.fs = vfs.Default
	}
	c.TTL = orElse(c.TTL, time.Minute)
	c.ListingWait = orElse(c.ListingWait, time.Second)
	c.PageTimeout = orElse(c.PageTimeout, 30*time.Second)
	c.ListAfter = orElse(c.ListAfter, 3)
	c.MaxEntries = orElse(c.MaxEntries, 1_000_000)
	c.MaxTotal = orElse(c.MaxTotal, 10_000_000)
	c.MaxListings = orElse(c.MaxListings, 16)
	c.CountEvery = orElse(c.CountEvery, 10*time.Minute)
	c.MaxCounted = orElse(c.MaxCounted, 20_000_000)
	c.CountRequests = orElse(c.CountRequests, 40_000)
	c.CountTime = orElse(c.CountTime, 30*time.Minute)
	c.RecountEvery = orElse(c.RecountEvery, 24*time.Hour)
	return c
}

// Mount is a mount as the caller knows it.
type Mount struct {
	// ID is never reused.
	ID string
	// Epoch grows when all cached names become invalid.
	Epoch    uint64
	Policy   commonv1.MetaPolicy
	ReadOnly bool
	Store    ufs.Store
}

// LookupResult is the result of Lookup.
type LookupResult struct {
	// Found is false if the store has no such name.
	Found bool
	// Entry is nil unless Found. The caller must not change it.
	Entry *workerv1.Entry
	// Age of the information.
	Age time.Duration
}

// Listing is one page of a directory.
type Listing struct {
	// Entries are sorted by the bytes of their names. The caller must not
	// change them.
	Entries []*workerv1.Entry
	// More is set if names follow the last one.
	More bool
	// Generation identifies the listing of the directory that has the entries: pages
	// with the same generation are of one listing, except for single names that were
	// forgotten and queried since. It is 0 for pages of a directory that is not
	// cached.
	Generation uint64
	// Age of the information.
	Age time.Duration
}
