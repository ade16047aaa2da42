package consensus

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Offline is the data directory of a member while no process uses it.
//
// A cluster that has lost a majority of its members for good is recovered from one that
// is left: what its disk holds becomes the state of a new member, with a new id, alone in
// the configuration, in the next epoch of the cluster.
//
// Every entry of its log becomes valid, also those that it did not know to be committed.
// Entries that only lost members have are lost, possibly acknowledged ones: those that a
// majority without this member had stored.
//
// A cluster whose members have lost every disk continues from a state that was saved
// before, in the same way.
//
// The replacement is complete and durable beside the member's directory before the two
// are exchanged, and nothing else is changed; see exchange. The former directory is kept.
// An Offline must be used by one goroutine at a time.
type Offline struct {
	// Name, DataDir and ClusterID are as in Config.
	Name, DataDir, ClusterID string
	// Topology lists the masters, this one included.
	Topology topology.Topology
	// Seen is the newest index that a client is known to have; 0 if none is known. The next
	// epoch is later than its epoch, too.
	Seen uint64
	// State is an empty state machine, or, for Restore, the state. It is used once.
	State StateMachine
	// Logger may be nil.
	Logger *slog.Logger
}

// survivor is what a directory holds.
type survivor struct {
	identity identity
	// last is the position of the last entry; its index is 0 without one.
	last    position
	servers []raft.Server
}

// Describe verifies the directory as a start of the member does, and returns what Recover
// would do.
func (o *Offline) Describe() (plan *masterv1.RecoverResponse, err error) {
	err = o.locked(func(d memberDir) error {
		_, plan, err = o.read(d)
		return err
	})
	return plan, err
}

// Recover makes the directory that of a new member, alone in the next epoch of the
// cluster. It returns what is kept and what may be lost. After an error, the next start
// of the member either continues as before or, if only the last steps have failed, as the
// new one.
func (o *Offline) Recover() (plan *masterv1.RecoverResponse, err error) {
	err = o.locked(func(d memberDir) error {
		var found survivor
		if found, plan, err = o.read(d); err != nil {
			return err
		}
		return o.replace(d, found.identity.ID, plan.GetEpoch(), "the cluster was recovered from it")
	})
	return plan, err
}

// Restore makes the directory, which must hold no state, that of a new member with the
// state, which is the one after the entry at an index, alone in the next epoch, which it
// returns.
func (o *Offline) Restore(index uint64) (epoch uint64, err error) {
	err = o.locked(func(d memberDir) error {
		found, err := o.load(d, occupied{})
		if err != nil {
			return err
		}
		if found.last.Index > 0 {
			return errOccupied
		}
		epoch = epochOf(max(index, o.Seen)) + 1
		return o.replace(d, found.identity.ID, epoch, "it was empty, and a snapshot was restored")
	})
	return epoch, err
}

// locked calls a function while no other process can use the directory.
func (o *Offline) locked(use func(memberDir) error) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if _, err := os.Stat(o.DataDir); err != nil {
		return fmt.Errorf("read data directory: %w", err)
	}
	lock, err := lockDir(o.DataDir)
	if err != nil {
		return err
	}
	return errors.Join(use(memberDir{o.DataDir}), lock.release())
}

// errOccupied is the error of a restoration to a member with state.
var errOccupied = errors.New("the disk of this master holds a state")

// occupied is a state machine that rejects every state.
type occupied struct{}

func (occupied) Apply(uint64, []byte) any { return errOccupied }
func (occupied) Snapshot() Snapshot       { return nil }
func (occupied) Restore(io.Reader) error  { return errOccupied }
func (occupied) BeginEpoch(uint64) error  { return errOccupied }

// read returns what the directory holds, and what a recovery from it does.
func (o *Offline) read(d memberDir) (survivor, *masterv1.RecoverResponse, error) {
	found, err := o.load(d, o.State)
	switch {
	case err != nil:
		return found, nil, err
	case found.last.Index == 0:
		return found, nil, errNoState
	}
	remembered, err := openMemory(d.peers())
	if err != nil {
		o.Logger.Warn("what this master remembers of the others is lost", "error", err)
	}
	return found, planOf(found, o.Seen, remembered, nil), nil
}

// errNoState is the error of a recovery from a member without state.
var errNoState = errors.New("the disk of this master holds no state: choose a master that has it")

// planOf returns what a recovery from a member does. alive holds the members that
// respond.
func planOf(from survivor, seen uint64, remembered *memory, alive map[raft.ServerID]bool) *masterv1.RecoverResponse {
	plan := &masterv1.RecoverResponse{
		MemberId: from.identity.ID, LastTerm: from.last.Term, LastIndex: from.last.Index, Epoch: epochOf(max(from.last.Index, seen)) + 1,
	}
	for _, s := range from.servers {
		if string(s.ID) == from.identity.ID {
			continue
		}
		r, _ := remembered.of(s.ID)
		plan.Lost = append(plan.Lost, &masterv1.LostMember{
			Name: nameOf(string(s.ID)), MemberId: string(s.ID), Voter: s.Suffrage == raft.Voter,
			LastTerm: r.Last.Term, LastIndex: r.Last.Index, Responds: alive[s.ID],
		})
	}
	return plan
}

// load proves the directory as a start does, and applies everything that it holds to a
// state machine.
func (o *Offline) load(d memberDir, to StateMachine) (survivor, error) {
	if err := d.finishExchange(); err != nil {
		return survivor{}, err
	}
	identity, err := d.readIdentity(o.Name, o.ClusterID)
	if err != nil {
		return survivor{}, err
	}
	if retired, err := exists(d.retired()); err != nil || retired {
		return survivor{}, errors.Join(err, errors.New("this member was replaced while it was unreachable: the cluster continues without its disk"))
	}
	proven, err := d.prove(identity)
	if err != nil {
		return survivor{}, err
	}
	found := survivor{identity: identity}
	if err := found.restore(d, proven.snapshot, to); err != nil {
		return survivor{}, err
	}
	if err := found.replay(d, proven, to); err != nil {
		return survivor{}, fmt.Errorf("apply the log: %w", err)
	}
	return found, nil
}

// restore restores the newest snapshot of the directory, if there is one.
func (s *survivor) restore(d memberDir, snapshot raft.SnapshotMeta, to StateMachine) error {
	if snapshot.Index == 0 {
		return nil
	}
	s.last, s.servers = position{Term: snapshot.Term, Index: snapshot.Index}, snapshot.Configuration.Servers
	file, err := os.Open(filepath.Join(d.snapshots(), "snapshots", snapshot.ID, stateFile))
	if err != nil {
		return fmt.Errorf("open snapshot: %w", err)
	}
	defer file.Close()
	envelope, err := openEnvelope(file)
	if err != nil {
		return err
	}
	if err := to.Restore(envelope); err != nil {
		return fmt.Errorf("restore the state: %w", err)
	}
	return envelope.finish()
}

// replay applies the whole log after the snapshot.
func (s *survivor) replay(d memberDir, proven provenDir, to StateMachine) error {
	store, err := openDisk(d.log())
	if err != nil {
		return err
	}
	defer store.Close()
	log := &failStopDisk{disk: store, path: d.log()}
	if err := log.redo(proven); err != nil {
		return err
	}
	end, err := store.LastIndex()
	if err != nil {
		return fmt.Errorf("read last index: %w", err)
	}
	for index := s.last.Index + 1; index <= end; index++ {
		var entry raft.Log
		if err := readEntry(store, index, &entry); err != nil {
			return err
		}
		switch {
		case entry.Type == raft.LogConfiguration:
			s.servers = raft.DecodeConfiguration(entry.Data).Servers
		case entry.Type == raft.LogCommand && len(entry.Data) > 0:
			if err, failed := to.Apply(index, entry.Data).(error); failed {
				return fmt.Errorf("entry %d: %w", index, err)
			}
		}
		s.last = position{Term: entry.Term, Index: index}
	}
	return nil
}

// replace puts the directory of a new member with the state in the place of the present
// one.
func (o *Offline) replace(d memberDir, former string, epoch uint64, why string) error {
	if epoch > maxEpoch {
		return fmt.Errorf("epoch %d is above %d", epoch, maxEpoch)
	}
	id, err := newMemberID(o.Name)
	if err != nil {
		return err
	}
	next := identity{Format: identityFormat, ID: id, Name: o.Name, ClusterID: o.ClusterID}
	if err := o.prepare(d, next, beginning(epoch)); err != nil {
		return err
	}
	o.Logger.Warn("the cluster continues with this master alone", "member", id, "former", former, "epoch", epoch)
	return d.exchange(exchangeRecord{Former: former, Reason: fmt.Sprintf("%s, as %s in epoch %d", why, id, epoch)})
}

// prepare creates the directory of a new member with the state aside, alone in the
// configuration.
func (o *Offline) prepare(d memberDir, next identity, at position) error {
	self, listed := o.Topology.Master(o.Name)
	if !listed {
		return fmt.Errorf("%s is not a master of the topology", o.Name)
	}
	if err := o.State.BeginEpoch(at.Index); err != nil {
		return err
	}
	alone := raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(next.ID), Address: serverAddress(self.RaftAddress(), next.ID)}
	err := d.prepareNew(next, tailRecord{snapshot: at.Index, snapshotTerm: at.Term, term: at.Term}, func(dir string, log disk) error {
		return o.fill(dir, log, at, alone)
	})
	if err != nil {
		return fmt.Errorf("create member directory: %w", err)
	}
	return nil
}

// fill writes the term and the snapshot that begin an epoch.
func (o *Offline) fill(dir string, log disk, at position, alone raft.Server) error {
	if err := log.Set(keyTerm, sealValue(keyTerm, encodeNumber(at.Term))); err != nil {
		return fmt.Errorf("write the term: %w", err)
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, newRaftLogger(o.Logger))
	if err != nil {
		return fmt.Errorf("create snapshot: %w", err)
	}
	_, encoder := raft.NewInmemTransport("") // only to encode the addresses
	sink, err := files.Create(raft.SnapshotVersionMax, at.Index, at.Term, raft.Configuration{Servers: []raft.Server{alone}}, at.Index, encoder)
	if err != nil {
		return fmt.Errorf("create snapshot: %w", err)
	}
	snapshot := &fsmSnapshot{header: envelopeHeader{index: at.Index, configuration: at.Index}, state: o.State.Snapshot()}
	defer snapshot.Release()
	if err := snapshot.Persist(sink); err != nil {
		return err
	}
	return sealSnapshot(filepath.Join(dir, "snapshots", sink.ID()))
}
