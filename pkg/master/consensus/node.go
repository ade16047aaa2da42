package consensus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/topology"
)

// Node is one member of a cluster. Its methods are safe for concurrent use.
type Node struct {
	config Config
	logger *slog.Logger
	dir    memberDir
	self   topology.Member
	id     raft.ServerID
	// started is when this process opened the member.
	started time.Time
	// hadState reports whether the disk held a log or a snapshot at that time.
	hadState bool
	// lock excludes a second process from the data directory.
	lock *dirLock

	store     *failStopDisk
	snapshots *snapshots
	fsm       *fsm
	stream    *stream
	transport *transport
	acks      *ackTracker
	appends   *appendWatch
	raft      *raft.Raft
	// opened is closed once raft is set. Goroutines of the library run before
	// that.
	opened chan struct{}

	// masters are those of the topology, and those that are still members.
	masters *masters
	// health is what this member, as the leader, observes of the others.
	health health
	// verification is the last comparison of all members.
	verification verification
	// newcomers slows commands down while members without a vote catch up.
	newcomers newcomers
	// memory is what this member remembers of the others, peers what they
	// reported to it since its start.
	memory   *memory
	peers    *peers
	proof    proof
	progress progress
	space    *space
	room     *logRoom
	// unwritable is why commands are refused; nil when they are not.
	unwritable atomic.Pointer[string]

	ready      leaderReady
	leaders    leaderWatch
	reads      reads
	triggering atomic.Bool
	metrics    *metrics
	// changeLock is held while the configuration is changed: one change at a
	// time.
	changeLock chan struct{}
	// obstacle is what keeps this member, as the leader, from bringing the members to
	// the topology; nil when nothing does.
	obstacle atomic.Pointer[string]
	// waiting is why this member is not in a cluster yet; see Reason.
	waiting atomic.Pointer[waitReason]

	// early is the newest election that began before the heartbeat timeout.
	early atomic.Pointer[early]

	// pending counts the entries, changes of the configuration and transfers that the
	// library has not completed.
	pending inflight
	// background are the goroutines of this package.
	background sync.WaitGroup
	// closing is set when the shutdown begins, refusing when leadership has been
	// handed over, or could not be: commands are refused from then on. stopLock is held
	// while the directory is marked as retired, which a closing member must not do, and
	// recovery while a member that was stopped changes its directory; see offline.
	closing  atomic.Bool
	stopLock sync.Mutex
	recovery sync.Mutex
	refusing atomic.Bool
	failed   atomic.Bool
	// stopped is closed, and running done, when the node stops.
	stopped  chan struct{}
	running  context.Context
	stopping context.CancelFunc
	stopOnce sync.Once
}

// Open reads and verifies a member's disk, or creates a new member on an empty
// one, and listens. Run makes it part of a cluster. After an error nothing is
// left open.
func Open(config Config, state StateMachine) (*Node, error) {
	if err := config.normalize(); err != nil {
		return nil, fmt.Errorf("configure master: %w", err)
	}
	n := &Node{
		config:     config,
		logger:     config.Logger,
		dir:        memberDir{config.DataDir},
		started:    time.Now(),
		acks:       newAckTracker(),
		changeLock: make(chan struct{}, 1),
		stopped:    make(chan struct{}),
		opened:     make(chan struct{}),
	}
	n.reads.kick = make(chan struct{}, 1)
	n.running, n.stopping = context.WithCancel(context.Background())
	n.peers = newPeers()
	n.progress.limit = max(minProgressLimit, 10*config.Heartbeat)
	n.metrics = newMetrics()
	if err := n.open(state); err != nil {
		return nil, errors.Join(fmt.Errorf("open master %s: %w", config.Name, err), n.close())
	}
	if err := n.metrics.register(config.Registry, n); err != nil {
		_ = n.Shutdown(context.Background())
		return nil, fmt.Errorf("open master %s: %w", config.Name, err)
	}
	n.background.Go(n.watchLeadership)
	n.background.Go(n.watchLeaders)
	n.background.Go(n.watchConnections)
	n.background.Go(n.keepSpares)
	n.background.Go(n.readLoop)
	n.background.Go(n.compact)
	n.background.Go(n.proveLoop)
	n.background.Go(n.watchSpace)
	n.background.Go(n.watchPeers)
	n.background.Go(n.reconcile)
	return n, nil
}

func (n *Node) open(state StateMachine) error {
	var err error
	if n.lock, err = lockDir(n.config.DataDir); err != nil {
		return err
	}
	if err := n.dir.finishExchange(); err != nil {
		return err
	}
	if err := n.openTopology(); err != nil {
		return err
	}
	n.openSpace()
	if err := n.verification.open(n.dir.verification()); err != nil {
		n.logger.Warn("the result of the last verification is lost", "error", err)
	}
	proven, err := n.dir.open(n.config.Name, n.config.ClusterID)
	var spoiled *DamageError
	if errors.As(err, &spoiled) {
		proven, err = n.replaceDamaged(spoiled)
	}
	if err != nil {
		return err
	}
	for _, repaired := range proven.repaired {
		n.logger.Warn("damage on this master's disk was found; the rest of the disk covers it", "damage", repaired)
	}
	if len(proven.redo) > 0 {
		n.logger.Info("the last append was interrupted and is completed from the tail record", "entries", len(proven.redo))
	}
	n.id = raft.ServerID(proven.identity.ID)
	if err := n.openStores(proven); err != nil {
		return err
	}
	n.observeLog()
	if err := n.openProof(); err != nil {
		return err
	}
	n.fsm = &fsm{state: state, fail: n.fail}
	if n.stream, err = listen(&n.config, addressBook{self: n.self, find: n.masters.find, admits: n.Admits}, proven.identity.ID); err != nil {
		return err
	}
	guarded := &spaceGuard{LogStore: n.store, space: n.space, room: n.room}
	log := newLogCache(&boundedTrail{LogStore: guarded, entries: n.config.sizes.trailing, bytes: n.config.sizes.trailingBytes})
	log.anchor = n.anchor
	n.appends = newAppendWatch(log)
	n.transport = newTransport(n)
	n.raft, err = raft.NewRaft(n.config.raft(n.id), n.fsm, n.appends, n.store, n.snapshots, n.transport)
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	close(n.opened)
	if err := n.masters.write(); err != nil {
		n.logger.Warn("the addresses of masters are not on disk", "error", err)
	}
	n.peers.expect(n.others())
	return nil
}

// openStores opens the log and the snapshots of a directory that was proved, and
// reads the log through the library once more.
func (n *Node) openStores(proven provenDir) error {
	store, err := openDisk(n.dir.log())
	if err != nil {
		return err
	}
	if n.config.hooks.disk != nil {
		store = n.config.hooks.disk(store)
	}
	n.store = &failStopDisk{
		disk: store, path: n.dir.log(), timeout: n.config.DiskTimeout, fail: n.fail,
		appends: &durations{observe: n.metrics.appended},
	}
	if n.store.tail, err = openTail(n.dir.tail(), proven.identity.ID); err != nil {
		return err
	}
	if n.snapshots, err = openSnapshots(n.dir.snapshots(), n.store, newRaftLogger(n.logger)); err != nil {
		return err
	}
	n.snapshots.use(proven.snapshot)
	if err := n.store.redo(proven); err != nil {
		return err
	}
	if err := n.store.check(proven.snapshot.Index); err != nil {
		return err
	}
	if proven.spoiled > 0 {
		// Before anything else reads them.
		if err := n.store.DeleteRange(n.store.first.Load(), proven.spoiled); err != nil {
			return err
		}
	}
	n.hadState = proven.snapshot.Index > 0 || n.store.last.Load() > 0
	n.room, err = openLogRoom(n.dir.log(), n.store)
	return err
}

// fail stops the member permanently. The process must not continue after it.
func (n *Node) fail(err error) {
	if n.failed.Swap(true) {
		return
	}
	n.logger.Error("this master cannot continue", "error", err)
	n.config.Fatal(err)
	n.stop()
}

// stop ends the goroutines of this package.
func (n *Node) stop() {
	n.stopOnce.Do(func() {
		close(n.stopped)
		n.stopping()
	})
}

// compact takes a snapshot when the log has grown by many bytes. The library
// counts entries only.
func (n *Node) compact() {
	for n.pause(n.config.sizes.interval) {
		if n.store.unsnapshotted.Load() < n.config.sizes.bytes || n.fsm.haltedBy() != nil {
			continue
		}
		if err := n.snapshot(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			n.logger.Warn("cannot take a snapshot", "error", err)
		}
	}
}

// snapshot takes a snapshot now.
func (n *Node) snapshot() error {
	if err := n.raft.Snapshot().Error(); err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	return nil
}

// Leader returns the name of the leader as far as this member knows, empty when
// unknown, and the term.
func (n *Node) Leader() (string, uint64) {
	_, id := n.raft.LeaderWithID()
	return nameOf(string(id)), n.raft.CurrentTerm()
}

// Shutdown hands leadership over, waits for the entries that are being
// committed, and closes everything. Until the transfer begins, commands are
// executed, and during the transfer they are held until the successor is known.
// When ctx is done first, the rest is closed without waiting.
func (n *Node) Shutdown(ctx context.Context) error { return n.shutdown(ctx, true) }

func (n *Node) shutdown(ctx context.Context, handOver bool) error {
	if n.closing.Swap(true) {
		return nil
	}
	transferred := handOver && n.handOver(ctx)
	n.refusing.Store(true)
	if transferred {
		n.stay(ctx)
	}
	if !n.failed.Load() {
		// At shutdown the library never completes futures that it has not
		// processed.
		select {
		case <-n.pending.close():
		case <-ctx.Done():
		case <-time.After(transportTimeout):
		}
	}
	n.stop()
	done := make(chan error, 1)
	go func() { done <- n.close() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("shut down master %s: %w", n.config.Name, ctx.Err())
	}
}

// stay waits after leadership was handed over: the successor commits with this
// member until it is connected to the others.
func (n *Node) stay(ctx context.Context) {
	n.pauseUntil(ctx.Done(), cmp.Or(n.config.hooks.stay, min(n.config.Election, DefaultElection)))
}

// handOver transfers leadership to another member if this one is the leader, and
// reports whether it did.
func (n *Node) handOver(ctx context.Context) bool {
	if n.failed.Load() || n.raft.State() != raft.Leader || countVoters(n.servers()) < 2 {
		return false
	}
	name, err := n.transfer(ctx, "")
	if err != nil {
		n.logger.Warn("cannot transfer leadership before shutdown", "error", err)
		return false
	}
	n.logger.Info("leadership transferred", "leader", name)
	return true
}

// close closes everything that is open.
func (n *Node) close() error {
	n.stop()
	var err error
	var ended raft.Future
	if n.raft != nil {
		ended = n.raft.Shutdown()
	}
	switch {
	case n.transport != nil:
		// Requests to peers that do not respond end with their connections.
		err = n.transport.Close()
	case n.stream != nil:
		err = n.stream.Close()
	}
	if ended != nil {
		err = errors.Join(err, ended.Error())
	}
	n.background.Wait()
	if n.memory != nil {
		err = errors.Join(err, n.memory.flush())
	}
	n.metrics.unregister()
	if n.store != nil {
		err = errors.Join(err, n.store.disk.Close(), n.store.tail.close(), n.room.close())
	}
	err = errors.Join(err, n.lock.release())
	if err != nil {
		return fmt.Errorf("close master %s: %w", n.config.Name, err)
	}
	return nil
}
