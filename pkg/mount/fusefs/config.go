//go:build linux

package fusefs

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// Config configures a Server. Attachment, StateDir and Source are required.
type Config struct {
	// Attachment is the mount to serve. The server closes it when Serve returns.
	Attachment *fusefd.Attachment
	// StateDir is the directory of the node table. A successor must be given the
	// same directory.
	StateDir string
	// Source provides names and bytes.
	Source Source
	// UID and GID own every file and directory.
	UID, GID uint32
	// AttrTTL, EntryTTL and NegativeTTL are the times for which the kernel may
	// cache attributes, names, and the absence of a name.
	AttrTTL, EntryTTL, NegativeTTL time.Duration
	// Timeout is the deadline of one request; 0 means none. The Source has
	// shorter deadlines, so that this one is the last resort.
	Timeout time.Duration
	// StopTime is the time that requests in progress get to finish when the
	// server is stopped. After it they are left to the successor. It defaults to
	// 5 s. Requests that wait for a slow source get at most one second.
	StopTime time.Duration
	// ParkAfter is the time after which a request that is still being processed
	// makes room for others. It defaults to 10 ms.
	ParkAfter time.Duration
	// ParkedMemory bounds the bytes of replies that requests after ParkAfter hold.
	// It defaults to 64 MiB.
	ParkedMemory int64
	// Passthrough is the size from which on sealed files of this host are read by the
	// kernel itself, in bytes; negative for none. It defaults to
	// DefaultPassthrough. The Source must be a BackingSource.
	Passthrough int64
	// Immutable selects the immutable profile, for files that are never replaced: the
	// kernel opens files without a request, and reads none itself. A successor keeps
	// the profile of the mount. The mount must be read-only in the kernel.
	Immutable bool
	// Logger defaults to slog.Default.
	Logger *slog.Logger
	// Registry, if not nil, receives the metrics of the server.
	Registry prometheus.Registerer

	waits waits
}

// waits are the times for which a request waits for another process on this host or
// for a worker, before it is served without. Zero values select the constants named
// below.
type waits struct {
	// stale is staleWait, usage is usageWait, register is registerTimeout, renewal is
	// renewalWait, and suspect is suspectTime.
	stale, usage, register, renewal, suspect time.Duration
}

func (w waits) withDefaults() waits {
	return waits{
		stale: cmp.Or(w.stale, staleWait), usage: cmp.Or(w.usage, usageWait),
		register: cmp.Or(w.register, registerTimeout), renewal: cmp.Or(w.renewal, renewalWait),
		suspect: cmp.Or(w.suspect, suspectTime),
	}
}

func (c Config) withDefaults() (Config, error) {
	if c.Attachment == nil || c.Source == nil || c.StateDir == "" {
		return c, fmt.Errorf("create FUSE server: Attachment, Source and StateDir are required")
	}
	if c.StopTime <= 0 {
		c.StopTime = 5 * time.Second
	}
	c.waits = c.waits.withDefaults()
	c.Passthrough = cmp.Or(c.Passthrough, DefaultPassthrough)
	c.ParkAfter = cmp.Or(c.ParkAfter, parkAfter)
	c.ParkedMemory = cmp.Or(c.ParkedMemory, parkedMemory)
	if c.ParkAfter < 0 || c.ParkedMemory < 2*(maxRequest+outHeaderSize) {
		return c, fmt.Errorf("create FUSE server: ParkAfter must be positive, and ParkedMemory at least %d bytes", 2*(maxRequest+outHeaderSize))
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}
