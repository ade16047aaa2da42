package reader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/fdpass"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// localTimeout is the deadline of one request for a sealed file. The worker is on
// this host, and reads continue without the file.
const localTimeout = 200 * time.Millisecond

// sealedFile holds the sealed file of a handle's version, once one is available.
type sealedFile struct {
	version  Version
	borrowed *borrowed
	// mu is read-locked while the file is read. A read whose disk hangs continues
	// without the lock, and with a file that may be closed.
	mu     sync.RWMutex
	file   LocalFile
	closed bool

	// openMu is held during a request for the file.
	openMu sync.Mutex
	// next is the earliest time of the next request; guarded by openMu.
	next time.Time
}

// readLocal fills the destination from the sealed file on this host, and reports
// whether it did. The error is that of the destination.
func (f *File) readLocal(ctx context.Context, to *destination, offset int64) (bool, error) {
	if f.reader.config.Local == nil || !f.local.exists() && !f.openLocal(ctx) {
		return false, nil
	}
	n := to.missing
	p, err := to.Memory(ctx)
	if err != nil {
		return false, fmt.Errorf("read %q at %d: %w", f.version.Key, offset, err)
	}
	if err := f.local.read(ctx, p, offset, f.reader.disks); err != nil {
		f.reader.metrics.errors.WithLabelValues(string(rungLocal), "unavailable").Inc()
		f.reader.config.Logger.Warn("reading a sealed file failed; continuing with the next rung", "key", f.version.Key, "error", err)
		return false, nil
	}
	to.advance(n)
	f.reader.metrics.reads.WithLabelValues(string(rungLocal)).Inc()
	f.reader.metrics.bytes.WithLabelValues(string(rungLocal)).Add(float64(n))
	return true, nil
}

// exists reports whether there is a file to read.
func (b *sealedFile) exists() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.file != nil
}

// read fills p. A file that fails is closed; one whose disk hangs is used again
// when the disk responds.
func (b *sealedFile) read(ctx context.Context, p []byte, offset int64, disks *disks) error {
	b.mu.RLock()
	file := b.file
	if file == nil {
		b.mu.RUnlock()
		return os.ErrClosed
	}
	err := errRevoked
	if !revoked(file) {
		err = disks.read(ctx, file, p, offset)
		if err == nil && revoked(file) {
			// The bytes may be those that the worker has found to be wrong.
			err = errRevoked
		}
	}
	b.mu.RUnlock()
	if err == nil || errors.Is(err, errDiskHangs) || ctx.Err() != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == file {
		b.borrowed.discard(b.version, file)
		_ = b.borrowed.put(b.version, file)
		b.file = nil
	}
	return err
}

// share takes the file that another handle has borrowed, and reports whether there is
// one. It does not wait.
func (b *sealedFile) share() bool {
	file := b.borrowed.take(b.version)
	if file == nil {
		return false
	}
	if b.mu.TryLock() {
		defer b.mu.Unlock()
		if !b.closed && b.file == nil {
			b.file = file
			return true
		}
	}
	// This use keeps the file from being given back meanwhile.
	return !b.borrowed.leave(b.version, file)
}

// closesNow reports whether close does not wait for the worker.
func (b *sealedFile) closesNow() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.file == nil || b.borrowed.keeps(b.version, b.file)
}

// errRevoked means that the worker has found that the bytes of a sealed file are
// wrong or cannot be read.
var errRevoked = errors.New("the worker has revoked the file")

// revoked reports whether the worker has revoked a file.
func revoked(file LocalFile) bool {
	f, ok := file.(interface{ Revoked() <-chan struct{} })
	if !ok {
		return false
	}
	select {
	case <-f.Revoked():
		return true
	default:
		return false
	}
}

// openLocal requests the sealed file, at most once in Config.LocalInterval, unless
// another handle has borrowed it, and reports whether it is available.
func (f *File) openLocal(ctx context.Context) bool {
	config := f.reader.config
	if !f.local.openMu.TryLock() {
		return false
	}
	defer f.local.openMu.Unlock()
	if f.local.share() {
		f.stopAhead()
		return true
	}
	if now := config.Clock(); now.Before(f.local.next) || now.UnixNano() < f.localAfter.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	file, err := config.Local.Open(ctx, f.version, f.reader.workersOf(f.object))
	f.local.next = config.Clock().Add(config.LocalInterval)
	if err != nil {
		if ctx.Err() != nil {
			// The worker hangs, which must not delay every read.
			f.local.next = f.local.next.Add(9 * config.LocalInterval)
		}
		return false
	}
	f.reader.borrowed.add(f.version, file)
	f.local.mu.Lock()
	closed := f.local.closed
	if !closed {
		f.local.file = file
	}
	f.local.mu.Unlock()
	if closed {
		_ = f.reader.borrowed.put(f.version, file)
		return false
	}
	f.stopAhead()
	return true
}

// workersOf returns the workers that may have the sealed file of an object, in the
// order in which they are tried.
func (r *Reader) workersOf(o client.Object) []string {
	var workers []string
	for _, c := range r.config.Cluster.Candidates(o, 0) {
		workers = append(workers, c.Worker())
	}
	return workers
}

func (b *sealedFile) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.file == nil {
		return nil
	}
	file := b.file
	b.file = nil
	return b.borrowed.put(b.version, file)
}

// maxSockets bounds the workers tried for one sealed file: its owner and the
// previous owner.
const maxSockets = 2

// Sockets opens sealed files of the workers whose sockets are in a directory. Its
// methods are safe for concurrent use.
type Sockets struct {
	dir      string
	identity *mtls.Identity

	mu      sync.Mutex
	clients map[string]*fdpass.Client
}

var _ LocalFiles = (*Sockets)(nil)

// NewSockets returns the Sockets of a directory, in which sockets may appear and
// disappear at any time. The workers lend the files of mounts that the certificate of
// the identity names.
func NewSockets(dir string, identity *mtls.Identity) *Sockets {
	return &Sockets{dir: dir, identity: identity, clients: map[string]*fdpass.Client{}}
}

// Open tries the first two of the given workers that have a socket.
func (s *Sockets) Open(ctx context.Context, v Version, workers []string) (LocalFile, error) {
	var failed []error
	tried := map[string]bool{}
	for _, name := range workers {
		if tried[name] || len(tried) == maxSockets {
			continue
		}
		client := s.client(name)
		if client == nil {
			continue
		}
		tried[name] = true
		file, err := client.Open(ctx, fdpass.Key{Mount: v.Mount, Key: v.Key, ETag: v.ETag, Size: v.Size})
		if err == nil {
			return file, nil
		}
		failed = append(failed, err)
	}
	if len(failed) == 0 {
		return nil, fmt.Errorf("open sealed file of %q: %w: none has a socket in %s", v.Key, ErrNoWorker, s.dir)
	}
	return nil, fmt.Errorf("open sealed file of %q: %w", v.Key, errors.Join(failed...))
}

// client returns the client of a worker, nil if it has no socket.
func (s *Sockets) client(name string) *fdpass.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if client := s.clients[name]; client != nil {
		return client
	}
	path := fdpass.SocketPath(s.dir, name)
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	client := fdpass.NewClient(path, s.identity, name)
	s.clients[name] = client
	return client
}

// Close closes the connections; open files stay readable.
func (s *Sockets) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failed []error
	for name, client := range s.clients {
		failed = append(failed, client.Close())
		delete(s.clients, name)
	}
	return errors.Join(failed...)
}
