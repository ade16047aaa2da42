package dirstore

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// Config of a Store. Zero values mean the defaults named.
type Config struct {
	// Dir holds the database and nothing else. Empty keeps all in memory.
	Dir string
	// Clock is time.Now.
	Clock  func() time.Time
	Logger *slog.Logger

	// TTL of a listing of policy ALWAYS: 60 s.
	TTL time.Duration
	// Patience is how long a request waits for a listing under way before it
	// goes to the store itself: 1 s.
	Patience time.Duration
	// PageTimeout of one request to the store: 30 s.
	PageTimeout time.Duration
	// ListAfter so many lookups in a directory that is not listed, it is
	// listed: 3.
	ListAfter int
	// MaxEntries of one directory; a larger one is not kept: 1,000,000.
	MaxEntries int64
	// MaxTotal of all entries kept; the oldest listings go first: 10,000,000.
	MaxTotal int64
	// MaxListings at once, over all directories: 16.
	MaxListings int
	// CountEvery is how old the count of a mount may get before it is counted
	// again, and at least a hundred times what counting took: 10 min.
	CountEvery time.Duration
	// MaxCounted objects of a mount; a larger one stays uncounted: 20,000,000.
	MaxCounted int64

	// fs is the disk, unless tests put another in its place.
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
	c.Patience = orElse(c.Patience, time.Second)
	c.PageTimeout = orElse(c.PageTimeout, 30*time.Second)
	c.ListAfter = orElse(c.ListAfter, 3)
	c.MaxEntries = orElse(c.MaxEntries, 1_000_000)
	c.MaxTotal = orElse(c.MaxTotal, 10_000_000)
	c.MaxListings = orElse(c.MaxListings, 16)
	c.CountEvery = orElse(c.CountEvery, 10*time.Minute)
	c.MaxCounted = orElse(c.MaxCounted, 20_000_000)
	return c
}

// Mount is what is known of a mount by whoever asks.
type Mount struct {
	// ID is never reused.
	ID string
	// Epoch grows when everything known about names must be asked anew.
	Epoch    uint64
	Policy   commonv1.MetaPolicy
	ReadOnly bool
	Store    ufs.Store
}

// Answer to a lookup.
type Answer struct {
	// Found is false when the store has no such name.
	Found bool
	// Entry is nil unless Found. It must not be changed.
	Entry *workerv1.Entry
	// Age of the knowledge behind the answer.
	Age time.Duration
}

// Listing is one page of a directory.
type Listing struct {
	// Entries in the order of the bytes of their names. They must not be
	// changed.
	Entries []*workerv1.Entry
	// More names follow the last one.
	More bool
	// Age of the knowledge behind the page.
	Age time.Duration
}
