package reader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/fdpass"
)

// localTimeout of one question for a sealed file: the worker is on this host,
// and reads go on without it.
const localTimeout = 200 * time.Millisecond

// borrowed is the sealed file of a handle's version, once there is one.
type borrowed struct {
	// mu is held for reading while the file is read.
	mu     sync.RWMutex
	file   LocalFile
	closed bool

	// asking is held by who asks for the file.
	asking sync.Mutex
	// next is when to ask again; guarded by asking.
	next time.Time
}

// readLocal fills p from a sealed file of this host, if there is one.
func (f *File) readLocal(ctx context.Context, p []byte, offset int64) bool {
	if f.reader.config.Local == nil {
		return false
	}
	done, there := f.local.read(p, offset)
	if !there {
		if !f.borrow(ctx) {
			return false
		}
		done, _ = f.local.read(p, offset)
	}
	if !done {
		f.reader.metrics.errors.WithLabelValues(string(rungLocal), "unavailable").Inc()
		f.reader.config.Logger.Warn("a sealed file could not be read; reading goes on elsewhere", "key", f.version.Key)
		return false
	}
	f.reader.metrics.reads.WithLabelValues(string(rungLocal)).Inc()
	f.reader.metrics.bytes.WithLabelValues(string(rungLocal)).Add(float64(len(p)))
	return true
}

// read answers whether all bytes came, and whether there was a file to begin
// with. A file that fails is given back.
func (b *borrowed) read(p []byte, offset int64) (done, there bool) {
	b.mu.RLock()
	file := b.file
	if file == nil {
		b.mu.RUnlock()
		return false, false
	}
	n, _ := file.ReadAt(p, offset)
	b.mu.RUnlock()
	if n == len(p) {
		return true, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == file {
		_ = file.Close()
		b.file = nil
	}
	return false, true
}

// borrow asks for the sealed file, at most every Config.LocalEvery.
func (f *File) borrow(ctx context.Context) bool {
	config := f.reader.config
	if !f.local.asking.TryLock() {
		return false
	}
	defer f.local.asking.Unlock()
	if config.Clock().Before(f.local.next) {
		return false
	}
	var workers []string
	for _, c := range config.Cluster.Candidates(f.object, 0) {
		workers = append(workers, c.Worker())
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	file, err := config.Local.Open(ctx, f.version, workers)
	f.local.next = config.Clock().Add(config.LocalEvery)
	if err != nil {
		if ctx.Err() != nil {
			// It hangs: that must not cost every read its time.
			f.local.next = f.local.next.Add(9 * config.LocalEvery)
		}
		return false
	}
	f.local.mu.Lock()
	closed := f.local.closed
	if !closed {
		f.local.file = file
	}
	f.local.mu.Unlock()
	if closed {
		_ = file.Close()
		return false
	}
	f.stopAhead()
	return true
}

func (b *borrowed) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.file == nil {
		return nil
	}
	file := b.file
	b.file = nil
	return file.Close()
}

// maxSockets asked for one sealed file: its owner and the owner before.
const maxSockets = 2

// Sockets lends the sealed files of the workers whose sockets are in a
// directory, named after them. Safe for concurrent use.
type Sockets struct {
	dir string

	mu      sync.Mutex
	clients map[string]*fdpass.Client
}

var _ LocalFiles = (*Sockets)(nil)

// NewSockets of a directory; workers may appear in it and go at any time.
func NewSockets(dir string) *Sockets { return &Sockets{dir: dir, clients: map[string]*fdpass.Client{}} }

// Open asks the first workers named that have a socket.
func (s *Sockets) Open(ctx context.Context, v Version, workers []string) (LocalFile, error) {
	var failed []error
	asked := map[string]bool{}
	for _, name := range workers {
		if asked[name] || len(asked) == maxSockets {
			continue
		}
		client, err := s.client(ctx, name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		asked[name] = true
		if err == nil {
			var file *fdpass.File
			if file, err = client.Open(ctx, fdpass.Key{Mount: v.Mount, Key: v.Key, ETag: v.ETag, Size: v.Size}); err == nil {
				return file, nil
			}
		}
		failed = append(failed, err)
	}
	if len(failed) == 0 {
		return nil, fmt.Errorf("borrowing %q: no worker of it has a socket in %s", v.Key, s.dir)
	}
	return nil, fmt.Errorf("borrowing %q: %w", v.Key, errors.Join(failed...))
}

func (s *Sockets) client(ctx context.Context, name string) (*fdpass.Client, error) {
	path := filepath.Join(s.dir, name+".sock")
	s.mu.Lock()
	client := s.clients[name]
	s.mu.Unlock()
	if client != nil {
		return client, nil
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	client, err := fdpass.Dial(ctx, path)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.clients[name]; other != nil {
		_ = client.Close()
		return other, nil
	}
	s.clients[name] = client
	return client, nil
}

// Close ends the connections; files that are open go on reading.
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
