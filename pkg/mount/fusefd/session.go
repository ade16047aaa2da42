//go:build linux

package fusefd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	devicePath   = "/dev/fuse"
	sourcePrefix = "jindo:"
	fsType       = "fuse.jindo"

	// DefaultSource is the default of Options.Source.
	DefaultSource = sourcePrefix + devicePath
	// DefaultMaxRead is the default of Options.MaxRead, in bytes. Larger values
	// showed no gain in measurements.
	DefaultMaxRead = 1 << 20
	// DefaultSlots is the default of Options.Slots.
	DefaultSlots = 128
	// DefaultParked is the default of Options.Parked.
	DefaultParked = 4096
	// DefaultServerTimeout is the default of Options.ServerTimeout.
	DefaultServerTimeout = 10 * time.Minute
)

// ErrAborted is returned when the connection to the kernel was aborted: by Abort,
// or because no server attached within Options.ServerTimeout.
var ErrAborted = errors.New("the mount was aborted")

// ErrBusy is returned when the mount point holds a mount of another program, or
// one that is being served.
var ErrBusy = errors.New("the mount point is in use")

// Options configures a session. Zero values select the defaults named below.
type Options struct {
	// Mountpoint is a directory. It is created if it does not exist.
	Mountpoint string
	// Source is the source that mount(8) shows; it must start with "jindo:" and
	// contain "/dev/fuse". Default DefaultSource.
	Source   string
	ReadOnly bool
	// AllowOther lets every user access the mount, not only the mounting one.
	// Without root it needs user_allow_other in /etc/fuse.conf.
	AllowOther bool
	// MaxRead is the largest read request of the kernel, in bytes; default
	// DefaultMaxRead.
	MaxRead int
	// ReadAhead is the kernel's read-ahead, in bytes; default MaxRead. It is set
	// as root only.
	ReadAhead int
	// Slots is the largest number of requests in progress, except for those that
	// wait for a slow source; default DefaultSlots.
	Slots int
	// Parked is the largest number of requests that wait for a slow source;
	// default DefaultParked. More than these occupy Slots.
	Parked int
	// ServerUIDs are the user ids that may connect as servers, besides root and
	// the user id of this process.
	ServerUIDs []uint32
	// AcceptBacking, if not nil, lets servers register files as passthrough
	// backings, on a mount that is read-only: it returns nil for a file that may be
	// one, and the reason for any other. It is called by one goroutine for each
	// mount and may access disks. See CacheFiles.
	AcceptBacking func(BackingFile) error
	// MaxBackings bounds the registrations at any time; default and largest value
	// MaxBackings.
	MaxBackings int
	// ServerTimeout is the time without an attached server after which the mount
	// is aborted; default DefaultServerTimeout.
	ServerTimeout time.Duration
	// Logger is the logger; default slog.Default.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Source == "" {
		o.Source = DefaultSource
	}
	if !(mountInfo{fstype: fsType, source: o.Source}).ours() {
		return o, fmt.Errorf("invalid mount source %q: must start with %q and contain %q", o.Source, sourcePrefix, devicePath)
	}
	if o.MaxRead <= 0 {
		o.MaxRead = DefaultMaxRead
	}
	if o.MaxRead > maxPayload {
		return o, fmt.Errorf("invalid MaxRead %d: must be at most %d bytes", o.MaxRead, maxPayload)
	}
	if o.ReadAhead <= 0 {
		o.ReadAhead = o.MaxRead
	}
	if o.Slots <= 0 {
		o.Slots = DefaultSlots
	}
	if o.Parked <= 0 {
		o.Parked = DefaultParked
	}
	if o.MaxBackings <= 0 || o.MaxBackings > MaxBackings {
		o.MaxBackings = MaxBackings
	}
	if o.ServerTimeout <= 0 {
		o.ServerTimeout = DefaultServerTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

// Session is a mount together with the descriptor and slots of its servers. Its
// methods are safe for concurrent use.
type Session struct {
	opts  Options
	point string
	log   *slog.Logger
	// direct reports that mount(2) was used, not fusermount3.
	direct bool
	// device is "major:minor" of the mount. It distinguishes this mount from
	// another one that may cover it.
	device string
	// interval is the time between two checks of the connection and of the server.
	interval time.Duration
	// readOnly reports that the file system is read-only in the kernel.
	readOnly bool
	// unmounting is set before the mount is removed, which ends the connection too.
	unmounting atomic.Bool

	fuse   *os.File
	slots  *Slots
	broker *broker

	// turn holds one token; the attached server has it.
	turn chan struct{}
	// waiting are the connections of servers that are not attached.
	waiting waiting
	// batches is the queue of notifications for the kernel.
	batches chan batch
	// dropping has one token for each inode whose pages are being dropped.
	dropping chan struct{}
	// ended is closed when the connection to the kernel has ended.
	ended   chan struct{}
	endOnce sync.Once

	mu         sync.Mutex
	generation uint64
	serving    bool
	closed     bool
	// idleSince is the time when the last server detached; zero while one is
	// attached.
	idleSince time.Time
	endErr    error
}

// Open mounts a FUSE file system, as root with mount(2), otherwise with
// fusermount3. Accesses to the mount block until Serve has attached a server.
func Open(ctx context.Context, opts Options) (*Session, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.Mountpoint, 0o755); err != nil {
		return nil, fmt.Errorf("create mount point: %w", err)
	}
	slots, err := NewSlots(opts.Slots, opts.Parked)
	if err != nil {
		return nil, err
	}
	s, err := newSession(opts, slots)
	if err != nil {
		_ = slots.Close()
		return nil, err
	}
	if err := s.mount(ctx); err != nil {
		_ = slots.Close()
		return nil, err
	}
	s.raiseReadAhead()
	return s, nil
}

// newSession has slots and no mount yet.
func newSession(opts Options, slots *Slots) (*Session, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	point, err := canonical(opts.Mountpoint)
	if err != nil {
		return nil, err
	}
	s := &Session{
		opts: opts, point: point, log: opts.Logger.With("mount", point),
		slots: slots, turn: make(chan struct{}, 1), batches: make(chan batch, maxBatches), dropping: make(chan struct{}, maxDrops), ended: make(chan struct{}),
		generation: slots.generation().Load(), idleSince: time.Now(),
		interval: min(max(opts.ServerTimeout/20, 20*time.Millisecond), 5*time.Second),
	}
	s.broker = newBroker(s)
	s.turn <- struct{}{}
	return s, nil
}

// Mountpoint returns the mount point with symlinks resolved.
func (s *Session) Mountpoint() string { return s.point }

// Generation returns the generation of the newest attachment, 0 before the first.
func (s *Session) Generation() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation
}

// Serving reports whether a server is attached and has reported that it serves.
func (s *Session) Serving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serving
}

// Done returns a channel that is closed when the connection to the kernel has
// ended: after Abort, Unmount or Close, or after Options.ServerTimeout.
func (s *Session) Done() <-chan struct{} { return s.ended }

// Err returns the reason why the session has ended, nil while it has not.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endErr
}

// Close closes the descriptor and the slots without unmounting. When no server
// has a descriptor either, the kernel ends the connection and accesses fail with
// ENOTCONN.
func (s *Session) Close() {
	s.end(os.ErrClosed)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.broker.close()
	_ = s.fuse.Close()
	_ = s.slots.Close()
}

func (s *Session) end(cause error) {
	s.endOnce.Do(func() {
		s.mu.Lock()
		s.endErr = cause
		s.mu.Unlock()
		close(s.ended)
	})
}
