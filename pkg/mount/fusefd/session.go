//go:build linux

package fusefd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	devicePath   = "/dev/fuse"
	sourcePrefix = "jindo:"
	fsType       = "fuse.jindo"

	// DefaultSource is the mount's source unless Options names another.
	DefaultSource = sourcePrefix + devicePath
	// DefaultMaxRead is the largest read the kernel sends, in bytes. More
	// than this gained nothing where it was measured.
	DefaultMaxRead = 1 << 20
	// DefaultSlots bounds the requests that a server works on at once.
	DefaultSlots = 128
	// DefaultServerTimeout is how long a mount waits for a server.
	DefaultServerTimeout = 10 * time.Minute
)

// ErrAborted says that the connection to the kernel was ended, because nobody
// served it for too long or because Abort was called.
var ErrAborted = errors.New("the mount was aborted")

// ErrBusy says that somebody else's mount, or one that answers, is in the way.
var ErrBusy = errors.New("the mount point is in use")

// Options of a session. Zero values mean what the fields say.
type Options struct {
	// Mountpoint is a directory. It is made when it is not there.
	Mountpoint string
	// Source is what mount(8) shows; it must start with "jindo:" and contain
	// "/dev/fuse". Default DefaultSource.
	Source   string
	ReadOnly bool
	// AllowOther lets every user read, not only the one who mounts. Without
	// root it needs user_allow_other in /etc/fuse.conf.
	AllowOther bool
	// MaxRead in bytes; default DefaultMaxRead.
	MaxRead int
	// ReadAhead of the kernel in bytes, for root only; default MaxRead.
	ReadAhead int
	// Slots is how many requests are in flight at most; default DefaultSlots.
	Slots int
	// ServerUIDs may connect as servers besides root and this process's own.
	ServerUIDs []uint32
	// ServerTimeout is how long nobody may serve before the mount is aborted;
	// default DefaultPatience.
	ServerTimeout time.Duration
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Source == "" {
		o.Source = DefaultSource
	}
	if !(mountInfo{fstype: fsType, source: o.Source}).ours() {
		return o, fmt.Errorf("mount source %q: it must start with %q and contain %q", o.Source, sourcePrefix, devicePath)
	}
	if o.MaxRead <= 0 {
		o.MaxRead = DefaultMaxRead
	}
	if o.MaxRead > maxPayload {
		return o, fmt.Errorf("max read %d: no request is larger than %d bytes", o.MaxRead, maxPayload)
	}
	if o.ReadAhead <= 0 {
		o.ReadAhead = o.MaxRead
	}
	if o.Slots <= 0 {
		o.Slots = DefaultSlots
	}
	if o.ServerTimeout <= 0 {
		o.ServerTimeout = DefaultServerTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

// Session is a mount and what is kept for its servers. All methods are safe
// for concurrent use.
type Session struct {
	opts  Options
	point string
	log   *slog.Logger
	// direct says that mount(2) was called, not fusermount3.
	direct bool
	// device is "major:minor" of the mount: how this mount is told from
	// another that may cover it.
	device string

	fuse  *os.File
	slots *Slots

	// turn holds one token: whoever has it is the server.
	turn chan struct{}
	// batches wait to be told to the kernel.
	batches chan batch
	// ended is closed when the connection to the kernel is over.
	ended   chan struct{}
	endOnce sync.Once

	mu         sync.Mutex
	generation uint64
	serving    bool
	closed     bool
	// idleSince is when the last server left; zero while there is one.
	idleSince time.Time
	endErr    error
}

// Open mounts. As root it uses mount(2), else fusermount3. The mount hangs its
// readers until Serve has lent it to a server.
func Open(ctx context.Context, opts Options) (*Session, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.Mountpoint, 0o755); err != nil {
		return nil, fmt.Errorf("making mount point: %w", err)
	}
	slots, err := NewSlots(opts.Slots)
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
		slots: slots, turn: make(chan struct{}, 1), batches: make(chan batch, maxBatches), ended: make(chan struct{}),
		generation: slots.generation().Load(), idleSince: time.Now(),
	}
	s.turn <- struct{}{}
	return s, nil
}

// Mountpoint as it was resolved.
func (s *Session) Mountpoint() string { return s.point }

// Generation of the newest lease, 0 before the first.
func (s *Session) Generation() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation
}

// Serving says whether a server has the mount and said that it answers.
func (s *Session) Serving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serving
}

// Done is closed when the connection to the kernel is over: after Abort,
// Unmount or Close, or when patience ran out.
func (s *Session) Done() <-chan struct{} { return s.ended }

// Err is why the session is over, nil while it is not.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endErr
}

// Close gives up the descriptor and the slots without unmounting. When no
// server has a descriptor either, the kernel ends the connection and readers
// get ENOTCONN.
func (s *Session) Close() {
	s.end(os.ErrClosed)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	_ = s.fuse.Close()
	_ = s.slots.Close()
}

func (s *Session) end(why error) {
	s.endOnce.Do(func() {
		s.mu.Lock()
		s.endErr = why
		s.mu.Unlock()
		close(s.ended)
	})
}
