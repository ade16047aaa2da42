//go:build linux

package fusefs

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// Config of a Server.
type Config struct {
	// Attachment of the mount; the server closes it when Serve returns.
	Attachment *fusefd.Attachment
	// StateDir holds the journal. A successor must be given the same.
	StateDir string
	Source   Source
	// UID and GID own every file.
	UID, GID uint32
	// AttrTTL, EntryTTL and NegativeTTL are how long the kernel may keep what
	// it was told.
	AttrTTL, EntryTTL, NegativeTTL time.Duration
	// Timeout of one request, 0 for none. Source has deadlines of its own;
	// this one is the last.
	Timeout time.Duration
	// StopTime is how long requests at work may take when the server is
	// stopped before they are left to its successor; default 5 s.
	StopTime time.Duration
	// Logger defaults to slog.Default, Registry to none.
	Logger   *slog.Logger
	Registry prometheus.Registerer
}

func (c Config) withDefaults() (Config, error) {
	if c.Attachment == nil || c.Source == nil || c.StateDir == "" {
		return c, fmt.Errorf("a server needs a lease, a source and a directory for its state")
	}
	if c.StopTime <= 0 {
		c.StopTime = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}
