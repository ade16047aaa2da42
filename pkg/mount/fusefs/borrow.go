//go:build linux

package fusefs

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/fdsock"
	"github.com/jindo-io/jindo/pkg/mount/fusefd"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// The server does not see the reads of the kernel. What it must know of a file, it
// learns from the worker that lent it: that its bytes are wrong or unreadable. While
// no worker lends the file, because the worker or the previous server has ended, the
// file is borrowed again.

const (
	// borrowInterval is the time between two attempts to borrow a file again, and
	// borrowAttempts their number. A worker that was restarted verifies its files
	// before it lends them.
	borrowInterval = time.Second
	borrowAttempts = 60
)

// run continues or ends the registrations of the predecessor, and ends all watchers
// when the context ends. The registrations are left to the successor.
func (p *passthrough) run(ctx context.Context) {
	for _, b := range p.inherited {
		p.inherit(b)
	}
	p.mu.Lock()
	p.released = nil
	p.mu.Unlock()
	p.sweepUntil(ctx)
	p.mu.Lock()
	p.stopped = true
	close(p.ended)
	p.mu.Unlock()
	p.watchers.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, b := range p.backings {
		delete(p.backings, id)
		b.close()
	}
}

// sweepUntil ends registrations that are not used any more, until the context ends.
func (p *passthrough) sweepUntil(ctx context.Context) {
	tick := time.NewTicker(linger / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			p.sweep(now.Add(-linger))
		}
	}
}

// inherit continues a registration of the predecessor, or ends it if no handle uses
// it.
func (p *passthrough) inherit(registered fusefd.Backing) {
	n, ok := p.files.table.node(registered.Node)
	if !ok || n.backing != registered.ID {
		p.registrar.Unregister(registered.ID)
		return
	}
	b := &backing{node: n, done: make(chan struct{}), device: registered.Device, inode: registered.Inode}
	// If its last handle was released since, either the registration has ended, which
	// hold notices, or it will be ended like any other. It must not be ended twice: an
	// ended one would be kept for a later open, which would fail.
	p.hold(registered.ID, b)
}

// watch retires the node of a backing when its bytes are revoked, or when its worker
// does not lend it any more, until the registration or the server ends.
func (p *passthrough) watch(b *backing) {
	for {
		file := b.get()
		if file == nil && !p.borrow(b) {
			return
		}
		if file = b.get(); file == nil {
			return // It was closed.
		}
		select {
		case <-b.done:
			return
		case <-p.ended:
			return
		case <-file.Revoked():
			p.retire(b, "revoked")
			return
		case <-file.Lost():
			if before := b.set(nil); before != nil {
				_ = before.Close()
			}
		}
	}
}

// borrow borrows the file of a registration again. When that is not possible, its
// bytes may have been found to be wrong meanwhile, and the node is retired. It
// returns false then, and when the registration or the server ends.
func (p *passthrough) borrow(b *backing) bool {
	for range borrowAttempts {
		if p.source == nil {
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
		file, err := p.source.Backing(ctx, b.node.version)
		cancel()
		switch {
		case err == nil && !b.same(file):
			// The registered file was discarded or evicted.
			_ = file.Close()
			p.retire(b, "replaced")
			return false
		case err == nil:
			return p.borrowed(b, file)
		}
		select {
		case <-b.done:
			return false
		case <-p.ended:
			return false
		case <-time.After(borrowInterval):
		}
	}
	p.retire(b, "unknown")
	return false
}

// borrowed keeps a file unless the registration has ended.
func (p *passthrough) borrowed(b *backing, file reader.Backing) bool {
	b.set(file)
	select {
	case <-b.done:
		b.close()
		return false
	default:
		return true
	}
}

// same reports whether a file is the one that is registered.
func (b *backing) same(file reader.Backing) bool {
	device, inode := identityOf(file)
	return device == b.device && inode == b.inode
}

// identityOf returns the device and the inode of a file.
func identityOf(file reader.Backing) (device, inode uint64) {
	var stat unix.Stat_t
	err := fdsock.Lend([]*os.File{file.Descriptor()}, func(fds []int) error { return unix.Fstat(fds[0], &stat) })
	if err != nil {
		return 0, 0
	}
	return stat.Dev, stat.Ino
}

// retire ends the use of a registration by later opens. Open handles keep reading the
// registered file, and later opens look up the name again, which returns another node.
func (p *passthrough) retire(b *backing, reason string) {
	p.metrics.retired.WithLabelValues(reason).Inc()
	if reason == "revoked" {
		p.log.Warn("a sealed file is damaged or unreadable; it is read from elsewhere from now on, except by handles that are open", "path", b.node.path)
	}
	p.mu.Lock()
	b.retired = true
	idle, unused := p.idle[b.node.id]
	if unused = unused && p.backings[idle.id] == b; unused {
		delete(p.idle, b.node.id)
		delete(p.backings, idle.id)
	}
	p.mu.Unlock()
	if unused {
		p.drop(b, idle.id)
	}
	if p.inUse(b) {
		p.renew(b)
	}
	p.files.notifier.pages(b.node.id)
}

// inUse reports whether a handle is open with a registration.
func (p *passthrough) inUse(b *backing) bool {
	n, ok := p.files.table.node(b.node.id)
	p.mu.Lock()
	defer p.mu.Unlock()
	return ok && n.backing != 0 && p.backings[n.backing] == b
}

// renew makes later opens of a node look up its name again.
func (p *passthrough) renew(b *backing) {
	p.files.renewals.began(b.node.path, b.node.id)
	p.files.table.markStale(b.node.id)
	p.files.notifier.entry(b.node.path)
}
