package blockstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Errors that callers branch on.
var (
	// ErrNotCached: the bytes are not here, and no fetch was given.
	ErrNotCached = errors.New("not cached")
	// ErrNotSealed: the version is not complete and verified here.
	ErrNotSealed = errors.New("not sealed")
	// ErrInvalidRange: the range is not within the object.
	ErrInvalidRange = errors.New("invalid range")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("block store closed")
)

// Config of a Store. Zero values mean the defaults named.
type Config struct {
	// Tiers to keep bytes in; a version goes to one of them, by quota. None
	// caches nothing.
	Tiers []Tier
	// BlockSize is 1 MiB; it may change over a restart, which forgets what
	// was cached with another one.
	BlockSize int64
	// MaxRun of missing blocks that one fetch asks for, in bytes: 8 MiB.
	MaxRun int64
	// Memory of blocks being fetched or not yet on disk, in bytes: 256 MiB.
	Memory int64
	// Dirty bytes that may wait for the disk: 64 MiB, at most half of Memory.
	Dirty int64
	// DiskTimeout after which a disk counts as hung: 5 s.
	DiskTimeout time.Duration
	// StallTimeout of a fetch that brings no byte: 60 s.
	StallTimeout time.Duration
	// Retry of a tier that failed: 10 s.
	Retry time.Duration
	// Temporary is how long a copy is kept for a worker that could not be
	// reached: 30 s.
	Temporary time.Duration
	// Superseded is how long a version is kept after a newer one was seen:
	// 10 min.
	Superseded time.Duration
	// LoadWait is how long Open waits for the index of what was kept: 10 s.
	// The rest is read in the background.
	LoadWait time.Duration
	Files    Files
	Now      func() time.Time
	Logger   *slog.Logger
}

func (c Config) withDefaults() Config {
	set := func(p *int64, value int64) {
		if *p == 0 {
			*p = value
		}
	}
	set(&c.BlockSize, DefaultBlockSize)
	set(&c.MaxRun, 8*c.BlockSize)
	set(&c.Memory, 256<<20)
	c.Memory = max(c.Memory, 4*c.MaxRun)
	set(&c.Dirty, 64<<20)
	c.Dirty = min(c.Dirty, c.Memory/2)
	wait := func(p *time.Duration, value time.Duration) {
		if *p == 0 {
			*p = value
		}
	}
	wait(&c.DiskTimeout, 5*time.Second)
	wait(&c.StallTimeout, time.Minute)
	wait(&c.Retry, 10*time.Second)
	wait(&c.Temporary, 30*time.Second)
	wait(&c.Superseded, 10*time.Minute)
	wait(&c.LoadWait, 10*time.Second)
	if c.Files == nil {
		c.Files = OS{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Store keeps object versions. Safe for concurrent use.
type Store struct {
	config Config
	memory *memory
	chunks sync.Pool

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	work   chan struct{} // a token wakes a writer
	seals  chan *version

	mu       sync.Mutex
	closed   bool
	tiers    []*tier
	versions map[hash]*version
	objects  map[object][]*version
	// removing counts versions whose files are being unlinked.
	removing map[hash]int
	// unremoved versions are gone, but their files could not be unlinked yet.
	unremoved []*version
	dirty     []*version
	// dirtyBytes wait for the disk or are being written.
	dirtyBytes int64
	writers    map[int]time.Time // since when each is writing
	// recent blocks that will not reach a disk, and their bytes.
	recent      []lingering
	recentBytes int64
	counts      Counts
	recentReads readWindow
}

// Open starts a store. A tier that cannot be used does not fail it: its state
// says why, and it is tried again. Only a configuration that can never work is
// an error.
func Open(config Config) (*Store, error) {
	config = config.withDefaults()
	if config.BlockSize < minBlockSize || config.BlockSize > 1<<30 || config.MaxRun < config.BlockSize {
		return nil, fmt.Errorf("opening block store: block size %d, run %d", config.BlockSize, config.MaxRun)
	}
	s := &Store{
		config: config, memory: newMemory(config.Memory, config.BlockSize),
		work: make(chan struct{}, 1), seals: make(chan *version, 1024),
		versions: map[hash]*version{}, objects: map[object][]*version{}, removing: map[hash]int{}, writers: map[int]time.Time{},
		recentReads: readWindow{opened: config.Now()},
	}
	s.chunks.New = func() any { b := make([]byte, chunkSize); return &b }
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, t := range config.Tiers {
		tier, err := newTier(t, config.Files, config.DiskTimeout)
		if err != nil {
			return nil, fmt.Errorf("opening block store: %w", err)
		}
		tier.state = condition{reason: errors.New("reading what was kept"), since: config.Now(), unreadable: true}
		s.tiers = append(s.tiers, tier)
	}
	s.loadAll()
	for i := range writers {
		s.goWith(func() { s.write(i) })
	}
	s.goWith(s.sealAll)
	s.goWith(s.janitor)
	return s, nil
}

// loadAll reads the index of every tier and waits for them a while.
func (s *Store) loadAll() {
	done := make(chan struct{}, len(s.tiers))
	for _, t := range s.tiers {
		t.probing = true
		s.goWith(func() { s.recover(t); done <- struct{}{} })
	}
	timer := time.NewTimer(s.config.LoadWait)
	defer timer.Stop()
	for range s.tiers {
		select {
		case <-done:
		case <-timer.C:
			return
		}
	}
}

func (s *Store) goWith(f func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		f()
	}()
}

// Close stops downloads, writes what waits for the disk, and lets go of the
// tiers. When the disk or a fetch does not answer until the context ends, it
// answers the context's error and leaves them behind.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.flush(ctx)
	s.cancel()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("closing block store: %w", ctx.Err())
	}
	for _, t := range s.tiers {
		if t.lock != nil {
			_ = t.lock.Close()
		}
	}
	return nil
}

// lookup answers the version of a key, a new one if need be. s.mu is held.
func (s *Store) lookup(key Key, h hash) *version {
	v := s.versions[h]
	if v != nil {
		return v
	}
	v = newVersion(key, h, s.config.BlockSize)
	s.insert(v)
	return v
}

func (s *Store) insert(v *version) {
	s.versions[v.hash] = v
	s.objects[v.key.object()] = append(s.objects[v.key.object()], v)
}

// forget takes a version out of the index. Its files and charge stay until
// removeFiles and release. s.mu is held.
func (s *Store) forget(v *version) {
	if v.gone {
		return
	}
	v.gone = true
	delete(s.versions, v.hash)
	o := v.key.object()
	rest := s.objects[o][:0]
	for _, other := range s.objects[o] {
		if other != v {
			rest = append(rest, other)
		}
	}
	if len(rest) == 0 {
		delete(s.objects, o)
	} else {
		s.objects[o] = rest
	}
	if v.queue != nil {
		v.queue.remove(v)
	}
	if v.created {
		// Until the files are gone, their names may not be used again: a
		// borrower may still hold them.
		s.removing[v.hash]++
		v.tier.filesHere--
		if v.sealed {
			v.tier.sealedHere--
		}
	} else {
		v.unlinked = true
	}
	s.settle(v)
}

// current notes that the store of objects has just answered with this version:
// others of the same object go soon. s.mu is held.
func (s *Store) current(v *version) {
	for _, other := range s.objects[v.key.object()] {
		if other == v || !other.expires.IsZero() {
			continue
		}
		other.expires = s.config.Now().Add(s.config.Superseded)
		if other.tier != nil {
			other.tier.evict.doom(other)
		}
	}
	if !v.expires.IsZero() && !v.temporary {
		v.expires = time.Time{}
		if v.tier != nil {
			v.tier.evict.reprieve(v)
		}
	}
}

// keep makes a copy held for another worker one of this worker's own. Its
// sidecar still says what it was, so it does not outlive a restart. s.mu is
// held.
func (s *Store) keep(v *version) {
	v.temporary, v.expires = false, time.Time{}
	if v.tier != nil {
		v.tier.evict.reprieve(v)
	}
}

// release drops one reference. s.mu is held.
func (s *Store) release(v *version) {
	v.refs--
	s.settle(v)
}

// settle forgets a version that has nothing, and gives the bytes of one that
// is gone back once nobody holds its files. s.mu is held.
func (s *Store) settle(v *version) {
	if !v.gone && v.idle() && v.npresent == 0 && len(v.dirty) == 0 && !v.created {
		s.forget(v)
		return
	}
	if v.gone && v.unlinked && v.refs == 0 && !v.writing && v.tier != nil && v.charged != 0 {
		v.charge(-v.charged)
	}
}

// discard removes a version whose bytes turned out wrong or unreadable.
func (s *Store) discard(v *version, why error) {
	s.mu.Lock()
	was := v.gone
	s.forget(v)
	if !was {
		s.counts.Discarded++
	}
	s.mu.Unlock()
	if was {
		return
	}
	s.config.Logger.Warn("discarding a cached version", "mount", v.key.Mount, "key", v.key.Key, "reason", why)
	s.removeFiles(v)
}

// Forget drops every version of an object that nobody is reading, after the
// store of objects said that it changed or is gone.
func (s *Store) Forget(mount, key string) {
	var victims []*version
	s.mu.Lock()
	for _, v := range append([]*version(nil), s.objects[object{mount, key}]...) {
		if v.idle() {
			s.forget(v)
			victims = append(victims, v)
		}
	}
	s.mu.Unlock()
	for _, v := range victims {
		s.removeFiles(v)
	}
}
