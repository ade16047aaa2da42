//go:build linux

package fusefs

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
)

// maxRequest is the maximum size of a read or write that the server negotiates
// with the kernel, in bytes.
const maxRequest = 1 << 20

// Server serves the kernel's requests on one Attachment.
type Server struct {
	config     Config
	log        *slog.Logger
	attachment *fusefd.Attachment
	device     *device
	files      *fileSystem
	protocol   *fuse.ProtocolServer
	metrics    *metrics

	// negotiated is set when FUSE_INIT is complete, here or by a predecessor.
	negotiated atomic.Bool
	// stopping is set before requests are left to the successor.
	stopping atomic.Bool
	// takeovers counts the slots whose request of a predecessor is not complete.
	takeovers sync.WaitGroup
	// suspectMu is held while a suspect request is processed.
	suspectMu sync.Mutex
	// buffers holds buffers for the replies to reads.
	buffers buffers
	// parking holds the requests that wait for a slow source, and left are those
	// that a predecessor left there.
	parking  *parking
	watchdog *watchdog
	left     []*fusefd.Slot
	// loops counts the goroutines that serve requests.
	loops sync.WaitGroup
	// failed joins the errors with which loops have ended. It is guarded by failMu.
	failMu sync.Mutex
	failed error
}

// New creates a Server that takes over the requests in the Attachment's slots and
// the state in StateDir. The Server owns the Attachment: New closes it when it
// fails, Serve when it returns.
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
	if s.device, err = newDevice(config.Attachment.Device); err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		s.device.close()
		return nil, err
	}
	return s, nil
}

// prepare takes over the state of the predecessor.
func (s *Server) prepare() error {
	config := s.config
	if err := os.MkdirAll(config.StateDir, 0o700); err != nil {
		return fmt.Errorf("create state directory: %w", err)
	}
	slots := config.Attachment.Slots
	s.parking, s.left = newParking(slots, config.ParkedMemory)
	s.watchdog = newWatchdog(config.ParkAfter)
	s.dropMoved()
	pending := s.pendingRequests()
	table, err := openTable(config.StateDir, slots.Session(), pending, slots, s.log)
	if err != nil {
		return err
	}
	s.files = &fileSystem{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		config:        config, source: config.Source, table: table, log: s.log,
		requests: newRequests(config.Timeout), usage: newUsage(), created: table.header.created,
		immutable: s.chooseProfile(table), nodes: newNodeFiles(s.log),
	}
	s.files.instant, _ = config.Source.(InstantSource)
	s.files.requests.left = pending
	s.files.notifier = newNotifier(table, s.log, s.attachment.Notify)
	s.files.listings = newListings(table, s.files.notifier, s.attachment, config.EntryTTL)
	s.files.renewals = newRenewals(config.waits.renewal)
	s.files.passthrough = newPassthrough(config, s.files)
	s.files.tree.Store(newTree(config.Source.Mounts()))
	s.protocol = fuse.NewProtocolServer(s.files, s.options())
	s.metrics = newMetrics(config.Registry, s)
	registerProfileMetrics(config.Registry, s)
	s.replayInit()
	return nil
}

func (s *Server) options() *fuse.MountOptions {
	return &fuse.MountOptions{
		Name: "jindo", MaxWrite: maxRequest,
		MaxBackground: s.maxBackground(),
		// A nodeid identifies one version, so that its pages stay valid.
		ExplicitDataCacheControl: true,
		DisableXAttrs:            true,
		// READDIRPLUS is used for every reply: a program that reads all names before
		// the attributes, as find and most libraries do, would otherwise look up each.
		ExtraCapabilities:    fuse.CAP_HAS_EXPIRE_ONLY,
		DisabledCapabilities: fuse.CAP_NO_OPEN_SUPPORT,
		// Files on stacked file systems are not read by the kernel itself, so that
		// this mount can be part of an overlay.
		MaxStackDepth: 1,
		Logger:        log.New(debugWriter{s.log}, "", 0),
		PanicHandler: func(cause any) fuse.Status {
			s.log.Error("request panicked", "panic", cause, "stack", string(debug.Stack()))
			return fuse.EIO
		},
	}
}

// maxBackground returns the largest number of requests that the kernel sends
// without an application that waits for them, such as read-ahead. When as many are
// in progress, read-ahead waits, also that of cached files, so that all requests
// of a hung store must fit; half of the slots, and of the parked slots, are left to
// requests that applications wait for.
func (s *Server) maxBackground() int {
	slots := s.attachment.Slots
	return min(max(1, (slots.Len()+slots.ParkedLen())/2), math.MaxUint16)
}

// debugWriter writes the output of go-fuse to the log.
type debugWriter struct{ log *slog.Logger }

func (w debugWriter) Write(p []byte) (int, error) {
	w.log.Debug("go-fuse: " + string(p))
	return len(p), nil
}

// dropMoved clears the slots whose request is in a parked slot too, because the
// predecessor died while it moved the request.
func (s *Server) dropMoved() {
	moved := map[uint64]bool{}
	for _, slot := range s.left {
		moved[headerOf(slot.Request()).unique] = true
	}
	for i := range s.attachment.Slots.Len() {
		slot := s.attachment.Slots.Slot(i)
		if request := slot.Request(); request != nil && !mutantMovedTwice && moved[headerOf(request).unique] {
			slot.Clear()
		}
	}
}

// pendingRequests returns the ids of the requests that must be processed again:
// they are live in a slot and have no reply there.
func (s *Server) pendingRequests() map[uint64]bool {
	ids := map[uint64]bool{}
	add := func(slot *fusefd.Slot) {
		if request := slot.Request(); request != nil && slot.Reply() == nil {
			ids[headerOf(request).unique] = true
		}
	}
	for i := range s.attachment.Slots.Len() {
		add(s.attachment.Slots.Slot(i))
	}
	for _, slot := range s.left {
		add(slot)
	}
	return ids
}

// Serve serves the kernel's requests until the context ends, which leaves the
// mount to a successor, or until the mount is removed. It returns nil in both
// cases. It closes the Attachment. Serve must be called once.
func (s *Server) Serve(ctx context.Context) error {
	background, stop := context.WithCancel(context.Background())
	var helpers sync.WaitGroup
	helpers.Go(func() { s.files.requests.watch(background) })
	helpers.Go(func() { s.watchdog.run(background) })
	helpers.Go(func() { s.files.notifier.run(background) })
	helpers.Go(func() { s.files.listings.run(background) })
	helpers.Go(func() { s.follow(background) })
	helpers.Go(func() { s.files.watchUsage(background) })
	helpers.Go(func() { s.watchHolder(background) })
	helpers.Go(func() { s.files.passthrough.run(background) })
	helpers.Go(func() { s.files.nodes.run(background) })
	s.takeovers.Add(s.attachment.Slots.Len() + len(s.left))
	if s.negotiated.Load() {
		helpers.Go(func() { s.announceTakeover(background.Done()) })
		if s.files.immutable {
			s.files.table.scans.Go(s.files.repeatStale)
		} else {
			helpers.Go(func() { s.files.inheritStale(background) })
		}
		if s.files.table.lost {
			helpers.Go(func() { s.files.forgetLost(background) })
		}
	}
	err := s.runLoops(ctx)
	stop()
	s.files.requests.cancelAll(errShutdown)
	helpers.Wait()
	s.device.close()
	err = errors.Join(err, s.files.table.close(), s.attachment.Close())
	s.files.table.closeFiles()
	s.files.nodes.closeAll()
	if err != nil {
		return fmt.Errorf("serve %s: %w", s.attachment.Mountpoint, err)
	}
	return nil
}

// runLoops runs one loop for every slot and completes the parked requests of a
// predecessor. It returns when all have ended.
func (s *Server) runLoops(ctx context.Context) error {
	for _, slot := range s.left {
		s.startTakeover(slot, true)
	}
	for i := range s.attachment.Slots.Len() {
		s.startTakeover(s.attachment.Slots.Slot(i), false)
	}
	finished := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stopOnDone(ctx, finished)
	}()
	s.loops.Wait()
	close(finished)
	<-stopped
	return s.failed
}

// parkedStopTime is the time that parked requests get to complete when the server
// is stopped. All others wait for the successor meanwhile.
const parkedStopTime = time.Second

// onlyParked reports whether all requests in progress are parked. It must be called
// after the server has stopped reading.
func (s *Server) onlyParked() bool {
	slots := s.attachment.Slots
	for i := range slots.Len() {
		if slots.Slot(i).Request() != nil {
			return false
		}
	}
	return true
}

// stopOnDone waits for the end of the context, stops reading, gives the requests
// in progress StopTime to complete, parked ones parkedStopTime, and leaves the rest
// to the successor. It returns when finished is closed.
func (s *Server) stopOnDone(ctx context.Context, finished <-chan struct{}) {
	select {
	case <-finished:
		return
	case <-ctx.Done():
	}
	if err := s.device.stop(); err != nil {
		s.log.Error("stop reading requests failed", "error", err)
	}
	brief := min(parkedStopTime, s.config.StopTime)
	select {
	case <-finished:
		return
	case <-time.After(brief):
	}
	if !s.onlyParked() {
		select {
		case <-finished:
			return
		case <-time.After(s.config.StopTime - brief):
		}
	}
	s.stopping.Store(true)
	s.files.requests.cancelAll(errShutdown)
	<-finished
}

// follow refreshes the tree when the source's mounts change, until the context
// ends.
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

// Stale returns an error while the served tree is older than the source's mounts,
// and nil otherwise.
func (s *Server) Stale() error {
	if changed := changedMounts(s.files.tree.Load(), newTree(s.config.Source.Mounts())); len(changed) > 0 {
		return fmt.Errorf("the change of %v is not served yet", changed)
	}
	return nil
}

// watchHolder logs the loss of the holder. The server continues, because its
// descriptor remains valid, but no successor can attach any more.
func (s *Server) watchHolder(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.attachment.Done():
		s.log.Warn("the connection to the holder of the mount is lost; the mount ends with this server")
	}
}

// Ready returns nil when FUSE_INIT is complete and the server serves requests, and
// an error before.
func (s *Server) Ready() error {
	if !s.negotiated.Load() {
		return errors.New("the kernel has not connected to the mount yet")
	}
	return nil
}
