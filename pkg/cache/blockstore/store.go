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
	// ErrNotCached means that the bytes are not cached and no fetch was given.
	ErrNotCached = errors.New("not cached")
	// ErrNotSealed means that the version is not complete and verified.
	ErrNotSealed = errors.New("not sealed")
	// ErrInvalidRange means that the range is not within the object.
	ErrInvalidRange = errors.New("invalid range")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("block store closed")
)

// Config configures a Store. Zero values mean the defaults named.
type Config struct {
	// Tiers that store the bytes. A version is stored in one of them, chosen
	// in proportion to their quotas. Without tiers nothing is cached.
	Tiers []Tier
	// BlockSize is 1 MiB by default. A restart with another size drops what
	// was cached.
	BlockSize int64
	// MaxRun bounds the missing blocks that one fetch requests, in bytes: 8 MiB.
	MaxRun int64
	// Memory bounds the blocks being fetched or not yet on disk, in bytes:
	// 256 MiB. At least four blocks are used.
	Memory int64
	// Dirty bounds the bytes that wait for the disk of one tier: 64 MiB. For all
	// tiers together it is at most half of Memory.
	Dirty int64
	// Share of each tier, more than 0 and at most 1, for versions that were not
	// read again, all together: 0.2. See Eviction.
	Share float64
	// DiskTimeout is the time after which a disk counts as hung: 5 s.
	DiskTimeout time.Duration
	// StallTimeout ends a fetch that returns no byte: 60 s.
	StallTimeout time.Duration
	// Retry is the interval at which a failed tier is retried: 10 s.
	Retry time.Duration
	// Temporary is the lifetime of a copy for a worker that could not be
	// reached: 30 s.
	Temporary time.Duration
	// Superseded is the lifetime of a version after a newer one was seen:
	// 10 min.
	Superseded time.Duration
	// LoadWait bounds the time that Open waits for the index of the tiers:
	// 10 s. The rest is loaded in the background.
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
	c.Memory = max(c.Memory, minBlocks*c.BlockSize)
	set(&c.Dirty, 64<<20)
	c.Dirty = min(c.Dirty, c.Memory/2/max(int64(len(c.Tiers)), 1))
	if c.Share == 0 {
		c.Share = DefaultShare
	}
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

// Store caches object versions. It is safe for concurrent use.
type Store struct {
	config Config
	chunks sync.Pool

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// tiers is not changed after Open.
	tiers []*tier

	mu       sync.Mutex
	closed   bool
	versions map[hash]*version
	objects  map[object]*history
	memory   *memory
	// freed is signalled when evicted bytes are freed or a tier fails.
	freed *sync.Cond
	// recent are complete blocks that will not reach a disk; recentBytes is
	// their size.
	recent      []lingering
	recentBytes int64
	// held are blocks in memory that readers need later.
	held        []heldBlock
	counts      Counts
	recentReads readWindow
}

// Open opens a store. A tier that cannot be used is not an error: it reports
// its state in Stats and is retried. Only a configuration that can never work
// is an error.
func Open(config Config) (*Store, error) {
	config = config.withDefaults()
	if config.BlockSize < minBlockSize || config.BlockSize > 1<<30 || config.MaxRun < config.BlockSize {
		return nil, fmt.Errorf("open block store: block size %d, maximum run %d", config.BlockSize, config.MaxRun)
	}
	if !(config.Share > 0 && config.Share <= 1) {
		return nil, fmt.Errorf("open block store: share %g: use more than 0 and at most 1", config.Share)
	}
	s := &Store{
		config: config, memory: newMemory(config),
		versions: map[hash]*version{}, objects: map[object]*history{},
		recentReads: readWindow{opened: config.Now()},
	}
	s.freed = sync.NewCond(&s.mu)
	s.chunks.New = func() any { b := make([]byte, chunkSize); return &b }
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, t := range config.Tiers {
		tier, err := newTier(t, config.Share, config.Files, config.DiskTimeout)
		if err != nil {
			return nil, fmt.Errorf("open block store: %w", err)
		}
		tier.state = condition{reason: errors.New("loading the index"), since: config.Now(), unreadable: true}
		tier.dirtyLimit = config.Dirty
		s.tiers = append(s.tiers, tier)
	}
	s.loadAll()
	for _, t := range s.tiers {
		for i := range writers {
			s.spawn(func() { s.write(t, i) })
		}
		s.spawn(func() { s.sealAll(t) })
		s.spawn(func() { s.janitor(t) })
	}
	s.spawn(func() { s.everySecond(func() { s.dropStale(s.config.Now()) }) })
	return s, nil
}

// loadAll loads the index of every tier, and waits for them at most LoadWait.
func (s *Store) loadAll() {
	done := make(chan struct{}, len(s.tiers))
	for _, t := range s.tiers {
		t.probing = true
		s.spawn(func() { s.recover(t); done <- struct{}{} })
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

func (s *Store) spawn(f func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		f()
	}()
}

// Close stops downloads, writes the dirty blocks and unlocks the tiers. If the
// disk or a fetch does not return before the context ends, Close returns the
// context's error and leaves their goroutines running.
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
		return fmt.Errorf("close block store: %w", ctx.Err())
	}
	for _, t := range s.tiers {
		if t.lock != nil {
			_ = t.lock.Close()
		}
	}
	return nil
}

// lookup returns the version of a key, inserted if it is new. The caller must
// hold s.mu.
func (s *Store) lookup(key Key, h hash) *version {
	v := s.versions[h]
	if v != nil {
		return v
	}
	v = newVersion(key, h, s.config.BlockSize)
	v.made = s.config.Now().UnixNano()
	s.insert(v)
	return v
}

func (s *Store) insert(v *version) {
	s.versions[v.hash] = v
	o := v.key.object()
	h := s.objects[o]
	if h == nil {
		h = &history{}
		s.objects[o] = h
	}
	h.add(v)
}

// forget removes a version from the index. Its files and its charge stay until
// removeFiles and release. The caller must hold s.mu.
func (s *Store) forget(v *version) {
	if v.removed {
		return
	}
	v.removed = true
	delete(s.versions, v.hash)
	if h := s.objects[v.key.object()]; h.remove(v) {
		delete(s.objects, v.key.object())
	}
	if v.tier != nil {
		v.tier.evict.remove(v)
		delete(v.tier.unsealed, v)
	}
	if v.created {
		// Their names must not be used again before the files are unlinked,
		// because a borrower may still have them open.
		v.tier.removing[v.hash]++
		v.tier.filesHere--
		if v.sealed {
			v.tier.sealedHere--
		}
	} else {
		v.unlinked = true
	}
	s.settle(v)
}

// markCurrent records that the object store has just returned this version:
// other versions of the object expire soon. The caller must hold s.mu.
func (s *Store) markCurrent(v *version) {
	if !v.removed {
		s.objects[v.key.object()].setCurrent(v, s.supersede)
	}
	if !v.expires.IsZero() && !v.temporary {
		v.expires = time.Time{}
		if v.tier != nil {
			v.tier.evict.undoom(v)
		}
	}
}

// supersede lets a version expire. The caller must hold s.mu.
func (s *Store) supersede(v *version) {
	if !v.expires.IsZero() {
		return
	}
	v.expires = s.config.Now().Add(s.config.Superseded)
	if v.tier != nil {
		v.tier.evict.doom(v)
	}
}

// makePermanent turns a copy that was held for another worker into one of this
// worker. Its sidecar still marks it as temporary, so it does not survive a
// restart. The caller must hold s.mu.
func (s *Store) makePermanent(v *version) {
	v.temporary, v.expires = false, time.Time{}
	if v.tier != nil {
		v.tier.evict.undoom(v)
	}
}

// release drops one reference. The caller must hold s.mu.
func (s *Store) release(v *version) {
	v.refs--
	s.settle(v)
}

// settle forgets a version that holds nothing, returns the charge of a removed
// version once its files are not in use, and lets a version that is not in use
// any more be evicted. The caller must hold s.mu.
func (s *Store) settle(v *version) {
	if !v.removed && v.idle() && v.npresent == 0 && len(v.dirty) == 0 && !v.created {
		s.forget(v)
		return
	}
	if v.tier == nil {
		return
	}
	if !v.removed {
		v.tier.evict.relist(v)
		return
	}
	if v.unlinked && v.evicted {
		// From here on its bytes are freed when its last reader closes the file.
		v.evicted = false
		v.tier.evicting -= v.charged
		s.freed.Broadcast()
	}
	if v.unlinked && v.refs == 0 && !v.writing && v.charged != 0 {
		v.charge(-v.charged)
	}
}

// discard removes a version whose bytes are wrong or unreadable.
func (s *Store) discard(v *version, why error) {
	s.mu.Lock()
	was := v.removed
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

// Forget drops every version of an object that is not in use. Call it after
// the object store has reported that the object changed or was deleted.
func (s *Store) Forget(mount, key string) {
	var victims []*version
	s.mu.Lock()
	if h := s.objects[object{mount, key}]; h != nil {
		for _, v := range append([]*version(nil), h.versions...) {
			if v.idle() {
				s.forget(v)
				victims = append(victims, v)
			}
		}
	}
	s.mu.Unlock()
	s.removeFiles(victims...)
}
