//go:build linux

package fusefs

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// maxRequest is what the kernel is told to send and ask for at most, in bytes.
const maxRequest = 1 << 20

// Server answers the kernel for one lease.
type Server struct {
	config     Config
	log        *slog.Logger
	attachment *fusefd.Attachment
	device     *device
	files      *fileSystem
	protocol   *fuse.ProtocolServer
	metrics    *metrics

	// negotiated is set once INIT was answered, here or by a predecessor.
	negotiated atomic.Bool
	// stopping is set before requests are left to the successor.
	stopping atomic.Bool
	// takeovers counts slots whose predecessor's request is not ended yet.
	takeovers sync.WaitGroup
	// suspectMu is held by whoever works on a suspect.
	suspectMu sync.Mutex
	// buffers for replies to reads.
	buffers sync.Pool
}

// New takes over what the lease's slots and the state directory hold. The
// lease is the server's from now on, also when New fails.
func New(config Config) (*Server, error) {
	s, err := newServer(config)
	if err != nil && config.Attachment != nil {
		_ = config.Attachment.Close()
	}
	return s, err
}

func newServer(config Config) (*Server, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, log: config.Logger, attachment: config.Attachment}
	s.buffers.New = func() any { b := make([]byte, outHeaderSize+maxRequest); return &b }
	if s.device, err = newDevice(config.Attachment.Device); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	slots := config.Attachment.Slots
	table, err := openTable(config.StateDir, slots.Session(), s.pendingRequests(), slots, s.log)
	if err != nil {
		return nil, err
	}
	s.files = &fileSystem{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		config:        config, source: config.Source, table: table, log: s.log,
		requests: newRequests(config.Timeout), created: table.journal.created,
	}
	s.files.notifier = newNotifier(table, s.log, s.attachment.Notify)
	s.files.tree.Store(newTree(config.Source.Mounts()))
	s.protocol = fuse.NewProtocolServer(s.files, s.options())
	s.metrics = newMetrics(config.Registry, s)
	s.replayInit()
	return s, nil
}

func (s *Server) options() *fuse.MountOptions {
	return &fuse.MountOptions{
		Name: "jindo", MaxWrite: maxRequest,
		// What nobody waits for must leave slots to what somebody does.
		MaxBackground: max(1, s.attachment.Slots.Len()/2),
		// A nodeid is one version; its pages are dropped by nobody.
		ExplicitDataCacheControl: true,
		DisableXAttrs:            true,
		ExtraCapabilities:        fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_HAS_EXPIRE_ONLY,
		DisabledCapabilities:     fuse.CAP_PASSTHROUGH | fuse.CAP_NO_OPEN_SUPPORT,
		Logger:                   log.New(debugWriter{s.log}, "", 0),
		PanicHandler: func(what any) fuse.Status {
			s.log.Error("a request panicked", "panic", what, "stack", string(debug.Stack()))
			return fuse.EIO
		},
	}
}

// debugWriter passes what go-fuse prints on to the log.
type debugWriter struct{ log *slog.Logger }

func (w debugWriter) Write(p []byte) (int, error) {
	w.log.Debug("go-fuse: " + string(p))
	return len(p), nil
}

// pendingRequests are the requests that are to be worked on afresh.
func (s *Server) pendingRequests() map[uint64]bool {
	ids := map[uint64]bool{}
	for i := range s.attachment.Slots.Len() {
		slot := s.attachment.Slots.Slot(i)
		if request := slot.Request(); request != nil && slot.Reply() == nil {
			ids[headerOf(request).unique] = true
		}
	}
	return ids
}

// Serve answers the kernel until the context ends, which leaves the mount to a
// successor and answers nil, or until the mount is gone, which answers nil
// too. It closes the lease.
func (s *Server) Serve(ctx context.Context) error {
	background, stop := context.WithCancel(context.Background())
	var helpers sync.WaitGroup
	helpers.Go(func() { s.files.requests.watch(background) })
	helpers.Go(func() { s.files.notifier.run(background) })
	helpers.Go(func() { s.follow(background) })
	helpers.Go(func() { s.watchHolder(background) })
	s.takeovers.Add(s.attachment.Slots.Len())
	if s.negotiated.Load() {
		helpers.Go(func() { s.announceTakeover(background.Done()) })
	}
	err := s.runLoops(ctx)
	stop()
	s.files.requests.cancelAll(errLeaving)
	helpers.Wait()
	err = errors.Join(err, s.files.table.close(), s.attachment.Close())
	s.files.table.closeFiles()
	if err != nil {
		return fmt.Errorf("serving %s: %w", s.attachment.Mountpoint, err)
	}
	return nil
}

// runLoops works on every slot and returns when all have stopped.
func (s *Server) runLoops(ctx context.Context) error {
	results := make(chan error, s.attachment.Slots.Len())
	for i := range s.attachment.Slots.Len() {
		go func() { results <- s.loop(s.attachment.Slots.Slot(i)) }()
	}
	finished := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stopOnDone(ctx, finished)
	}()
	var failed error
	for range s.attachment.Slots.Len() {
		if err := <-results; err != nil && !errors.Is(err, errDisconnected) && !errors.Is(err, errStopped) {
			failed = errors.Join(failed, err)
		}
	}
	close(finished)
	<-stopped
	return failed
}

// stopOnDone waits for the end of the context, stops reading, gives requests at
// work some time, and leaves the rest to the successor.
func (s *Server) stopOnDone(ctx context.Context, finished <-chan struct{}) {
	select {
	case <-finished:
		return
	case <-ctx.Done():
	}
	if err := s.device.stop(); err != nil {
		s.log.Error("stopping", "error", err)
	}
	select {
	case <-finished:
		return
	case <-time.After(s.config.StopTime):
	}
	s.stopping.Store(true)
	s.files.requests.cancelAll(errLeaving)
	<-finished
}

// follow keeps the tree up with the mounts, and makes the kernel forget what
// may have changed.
func (s *Server) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.config.Source.Changes():
			s.files.refresh()
		}
	}
}

// Stale says why what the kernel is told is older than what the source knows
// is mounted; nil when it is not.
func (s *Server) Stale() error {
	if changed := changedMounts(s.files.tree.Load(), newTree(s.config.Source.Mounts())); len(changed) > 0 {
		return fmt.Errorf("%v has just changed", changed)
	}
	return nil
}

// watchHolder logs that the holder is gone. Serving goes on: the descriptor is
// as good as before, but nobody keeps it for a successor any more.
func (s *Server) watchHolder(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.attachment.Done():
		s.log.Warn("whoever held the mount is gone; the mount ends with this server")
	}
}

// Ready says why the server does not answer the kernel yet; nil when it does.
func (s *Server) Ready() error {
	if !s.negotiated.Load() {
		return errors.New("the kernel has not been answered yet")
	}
	return nil
}
