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
	// Tiers that store the bytes. A version is stored in one of them: see Levels.
	// Without tiers nothing is cached.
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
	// CopyShare of each tier, more than 0 and at most 1, for node copies: 0.5.
	CopyShare float64
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
	// MoveRate bounds the bytes that are moved in a second between a tier and slower
	// ones: 64 MiB.
	MoveRate int64
	// Scrub is the time that a pass of the scrubber over a tier is to take: a week. It
	// takes longer if it would read more than 16 MiB a second. There is no scrubber if
	// it is negative.
	Scrub time.Duration
	// LoadWait bounds the time that Open waits for the index of the tiers:
	// 10 s, and the DiskTimeout if they hang. The rest is loaded in the
	// background.
	LoadWait time.Duration
	Files    Files
	Now      func() time.Time
	Logger   *slog.Logger

	// recallWait is recallWait; tests change it.
	recallWait time.Duration
	// tick is the time between two passes of the janitor of a tier: a second. Tests
	// that count hits lengthen it, because a pass during a read evicts other versions.
	tick time.Duration
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
	set(&c.MoveRate, 64<<20)
	if c.Share == 0 {
		c.Share = DefaultShare
	}
	if c.CopyShare == 0 {
		c.CopyShare = DefaultCopyShare
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
	wait(&c.Scrub, DefaultScrub)
	wait(&c.LoadWait, 10*time.Second)
	wait(&c.tick, time.Second)
	wait(&c.recallWait, recallWait)
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
	// tiers and levels are not changed after Open. levels has the same tiers, the
	// fastest level first.
	tiers  []*tier
	levels [][]*tier

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
	if !(config.CopyShare > 0 && config.CopyShare <= 1) {
		return nil, fmt.Errorf("open block store: share of node copies %g: use more than 0 and at most 1", config.CopyShare)
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
		tier.evict.copyLimit = int64(config.CopyShare * float64(t.Quota))
		s.tiers = append(s.tiers, tier)
	}
	s.levels = levelsOf(s.tiers)
	s.loadAll()
	for _, t := range s.tiers {
		for i := range writers {
			s.spawn(func() { s.write(t, i) })
		}
		s.spawn(func() { s.sealAll(t) })
		s.spawn(func() { s.janitor(t) })
		if t.level < len(s.levels)-1 {
			s.spawn(func() { s.moveAll(t) })
		}
		if config.Scrub > 0 {
			s.spawn(func() { s.scrub(t) })
		}
	}
	s.spawn(func() { s.every(time.Second, func() { s.dropStale(s.config.Now()) }) })
	return s, nil
}

// loadAll loads the index of every tier. It waits for them at most LoadWait, and
// not for tiers that hang.
func (s *Store) loadAll() {
	done := make(chan struct{}, len(s.tiers))
	for _, t := range s.tiers {
		t.probing = true
		s.spawn(func() { s.recover(t); done <- struct{}{} })
	}
	deadline, check := time.NewTimer(s.config.LoadWait), time.NewTicker(max(s.config.DiskTimeout, time.Second))
	defer deadline.Stop()
	defer check.Stop()
	for loading, before := len(s.tiers), int64(0); loading > 0; {
		select {
		case <-done:
			loading--
		case <-deadline.C:
			return
		case <-check.C:
			var now int64
			for _, t := range s.tiers {
				now += t.scanned.Load()
			}
			if now == before {
				return
			}
			before = now
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
