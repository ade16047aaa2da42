//go:build linux

package fusefs

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// DefaultPassthrough is the default of Config.Passthrough. The first open in
// passthrough mode takes two round trips between processes, which pay for files of
// 512 KiB to 1 MiB and more that are read once, and for smaller ones that are opened
// again soon.
const DefaultPassthrough = 512 << 10

// BackingSource is a Source that has the sealed files of versions on this host.
type BackingSource interface {
	// Backing returns the file of a version. It must not block for long.
	Backing(ctx context.Context, v reader.Version) (reader.Backing, error)
}

var _ BackingSource = (*reader.Reader)(nil)

const (
	// registerTimeout is the deadline of one registration. The holder is on this
	// host, and the file is opened without it.
	registerTimeout = 200 * time.Millisecond
	// Times for which no file is registered: after the holder did not respond, after
	// a failure that concerns every file of the mount, after maxFailures others in
	// sequence, and when there are too many registrations.
	awayPause    = 5 * time.Second
	mountPause   = time.Minute
	failurePause = 10 * time.Second
	limitPause   = time.Second
	maxFailures  = 8
	// linger is the time for which a registration is kept after the last release, so
	// that a file that is opened again and again is not registered each time, and
	// maxIdle bounds the registrations that are kept.
	linger  = time.Second
	maxIdle = 256
)

// Reasons for which a file is not opened in passthrough mode, besides the codes of
// fusefd.RegisterError.
const (
	reasonImmutable   = "immutable"
	reasonUnsupported = "unsupported"
	reasonHolder      = "holder"
	reasonNotSealed   = "not_sealed"
	reasonNoWorker    = "no_worker"
	reasonWorkerAway  = "worker_away"
	reasonBeside      = "beside_cached"
	reasonRenewed     = "renewed"
	reasonStopping    = "stopping"
)

// registrar registers files with the kernel. *fusefd.Attachment implements it.
type registrar interface {
	RegistersBackings() bool
	Register(ctx context.Context, node uint64, file *os.File) (uint32, error)
	Unregister(ids ...uint32)
}

var _ registrar = (*fusefd.Attachment)(nil)

// passthrough decides which files the kernel reads itself, and holds the files of
// the registrations in use. Its methods are safe for concurrent use.
//
// A failure is never one of the open: the file is read through the server instead.
type passthrough struct {
	files     *fileSystem
	source    BackingSource
	registrar registrar
	size      int64
	// timeout is the deadline of one registration.
	timeout time.Duration
	log     *slog.Logger
	metrics passthroughMetrics
	// mount is the id of the mount.
	mount string
	// supported is set when the kernel has enabled passthrough for the mount.
	supported atomic.Bool
	// newest is the last registration; it is used by a broken variant only.
	newest atomic.Uint32
	// inherited are the registrations when this server began.
	inherited []fusefd.Backing

	mu sync.Mutex
	// backings holds the registrations in use, by id.
	backings map[uint32]*backing
	// idle holds those of backings that no handle uses, by nodeid.
	idle map[uint64]idleBacking
	// released holds the ids that were ended before their inherited registration was
	// held; nil once all are.
	released map[uint32]bool
	// until is the time before which no file is registered, because of reason.
	until    time.Time
	reason   string
	failures int
	// failed is the reason of the last registration if it failed.
	failed string
	// state is the reason that was logged last.
	state string
	// watchers counts the goroutines that watch backings; ended is closed when they
	// must end.
	watchers sync.WaitGroup
	stopped  bool
	ended    chan struct{}
}

// idleBacking is a registration that no handle uses since a time.
type idleBacking struct {
	id    uint32
	since time.Time
}

// backing is a file that the kernel reads itself.
type backing struct {
	node node
	// device and inode identify the file.
	device, inode uint64
	// retired is set when the file must not be used for another open. The mutex of
	// passthrough guards it.
	retired bool
	// done is closed when the registration ends.
	done chan struct{}

	// mu guards file, which is nil while there is none: the file of a registration
	// that was inherited, or whose worker is away, is borrowed again.
	mu   sync.Mutex
	file reader.Backing
	// fresh is set until the open for which the file was lent.
	fresh bool
}

func newPassthrough(config Config, files *fileSystem) *passthrough {
	p := &passthrough{
		files: files, registrar: config.Attachment, size: config.Passthrough, timeout: config.waits.register, log: config.Logger,
		inherited: config.Attachment.Slots.Backings(), backings: map[uint32]*backing{}, idle: map[uint64]idleBacking{}, ended: make(chan struct{}),
		released: map[uint32]bool{},
	}
	session := config.Attachment.Slots.Session()
	p.mount = hex.EncodeToString(session[:])
	p.source, _ = config.Source.(BackingSource)
	p.metrics = newPassthroughMetrics(config.Registry, p)
	return p
}

// disabled returns why no file can be opened in passthrough mode now, "" if files
// can be.
func (p *passthrough) disabled(now time.Time) string {
	switch {
	case p.files.immutable:
		return reasonImmutable
	case !p.supported.Load():
		return reasonUnsupported
	case !p.registrar.RegistersBackings():
		return reasonHolder
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped:
		return reasonStopping
	case now.Before(p.until):
		return p.reason
	}
	return ""
}

// covers reports whether files of a size in bytes are read by the kernel itself where
// that is possible.
func (p *passthrough) covers(size int64) bool {
	return p.source != nil && p.size >= 0 && size >= p.size
}

// prepare registers the file of a node of which no handle is open, and returns the
// id of the registration, 0 if the kernel is not to read the file itself. The caller
// must end the registration unless a handle of the node is opened with it.
func (p *passthrough) prepare(ctx context.Context, n node) uint32 {
	if !p.covers(n.version.Size) {
		return 0
	}
	reason := p.disabled(time.Now())
	p.note(reason)
	switch {
	case reason != "":
	case n.opens > 0:
		reason = reasonBeside
	case p.files.renewals.recent(n.path):
		reason = reasonRenewed
	}
	if reason != "" {
		p.metrics.fallback(reason)
		return 0
	}
	if id := p.again(n.id); id != 0 {
		return id
	}
	file, err := p.source.Backing(ctx, n.version)
	if err != nil {
		p.metrics.fallback(reasonOf(err))
		return 0
	}
	limited, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	id, err := p.registrar.Register(limited, n.id, file.Descriptor())
	if err != nil {
		_ = file.Close()
		p.registerFailed(n, err)
		return 0
	}
	b := &backing{node: n, done: make(chan struct{}), file: file, fresh: true}
	b.device, b.inode = identityOf(file)
	if !p.hold(id, b) {
		return 0
	}
	if other := p.newest.Swap(id); mutantOtherBacking && other != 0 {
		return other
	}
	return id
}

// reasonOf returns the reason for an error of a BackingSource.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, reader.ErrNotSealed):
		return reasonNotSealed
	case errors.Is(err, reader.ErrNoWorker):
		return reasonNoWorker
	}
	return reasonWorkerAway
}

// registerFailed counts a failed registration, and stops registrations for a time
// if the next ones would fail too.
func (p *passthrough) registerFailed(n node, err error) {
	reason := fusefd.RegisterFailed
	var failed *fusefd.RegisterError
	if errors.As(err, &failed) {
		reason = failed.Code
	}
	p.metrics.fallback(reason)
	p.log.Debug("the kernel does not read a file itself", "path", n.path, "error", err)
	pause := time.Duration(0)
	switch reason {
	case fusefd.RegisterAway:
		pause = awayPause
	case fusefd.RegisterPermission, fusefd.RegisterKernel:
		pause = mountPause
	case fusefd.RegisterLimit, fusefd.RegisterBusy:
		pause = limitPause
		p.sweep(time.Now())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = reason
	if p.failures++; pause == 0 && p.failures >= maxFailures {
		pause = failurePause
	}
	if pause > 0 {
		p.until, p.reason, p.failures = time.Now().Add(pause), reason, 0
	}
}

// hold adds a registration in use, and watches it. It returns false, and ends the
// registration, if the server is stopping. It returns false too if the registration
// was ended before.
func (p *passthrough) hold(id uint32, b *backing) bool {
	p.mu.Lock()
	if p.released[id] {
		p.mu.Unlock()
		b.close()
		return false
	}
	p.failures, p.failed = 0, ""
	if p.stopped {
		p.mu.Unlock()
		p.registrar.Unregister(id)
		b.close()
		return false
	}
	p.backings[id] = b
	p.watchers.Go(func() { p.watch(b) })
	p.mu.Unlock()
	return true
}

// opened counts an open in passthrough mode.
func (p *passthrough) opened(id uint32) {
	p.metrics.opens.Inc()
	p.mu.Lock()
	b := p.backings[id]
	retired := b != nil && b.retired
	p.mu.Unlock()
	switch {
	case retired:
		// It was retired before the handle was in the table.
		p.renew(b)
	case b != nil:
		b.used()
	}
}

// again returns the registration of a node that was used until recently, 0 if there
// is none.
func (p *passthrough) again(node uint64) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.idle[node].id
	delete(p.idle, node)
	return id
}

// end ends a registration that no handle uses, after the time linger.
func (p *passthrough) end(id uint32) {
	p.mu.Lock()
	b := p.backings[id]
	keep := b != nil && !b.retired && !p.stopped && len(p.idle) < maxIdle
	if keep {
		if _, other := p.idle[b.node.id]; !other {
			p.idle[b.node.id] = idleBacking{id: id, since: time.Now()}
			p.mu.Unlock()
			return
		}
	}
	delete(p.backings, id)
	if b == nil && p.released != nil {
		p.released[id] = true
	}
	p.mu.Unlock()
	p.drop(b, id)
}

// drop gives back the file of a registration that is not in use any more.
func (p *passthrough) drop(b *backing, id uint32) {
	p.registrar.Unregister(id)
	if b != nil {
		close(b.done)
		b.close()
	}
}

// sweep ends the registrations that no handle uses since a time.
func (p *passthrough) sweep(before time.Time) {
	p.mu.Lock()
	dropped := map[uint32]*backing{}
	for node, idle := range p.idle {
		if !idle.since.After(before) {
			dropped[idle.id] = p.backings[idle.id]
			delete(p.backings, idle.id)
			delete(p.idle, node)
		}
	}
	p.mu.Unlock()
	for id, b := range dropped {
		p.drop(b, id)
	}
}

// count returns the number of registrations.
func (p *passthrough) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.backings)
}

// note logs when the reason changes for which no file is opened in passthrough mode.
func (p *passthrough) note(reason string) {
	p.mu.Lock()
	changed := p.state != reason
	p.state = reason
	p.mu.Unlock()
	switch {
	case !changed:
	case reason == "":
		p.log.Info("the kernel reads sealed files itself")
	default:
		p.log.Warn("the kernel does not read sealed files itself; they are read through this server, which is slower", "reason", reason)
	}
}

// used reports an open of the file, except the first, which the worker knows.
func (b *backing) used() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file != nil && !b.fresh {
		b.file.Used()
	}
	b.fresh = false
}

// set replaces the file, and returns the previous one.
func (b *backing) set(file reader.Backing) (before reader.Backing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, b.file = b.file, file
	return before
}

func (b *backing) get() reader.Backing {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.file
}

func (b *backing) close() {
	if file := b.set(nil); file != nil {
		_ = file.Close()
	}
}
