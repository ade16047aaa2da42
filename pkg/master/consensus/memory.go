package consensus

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/atomicfile"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

const (
	// memorySaveInterval is how often, at most, new positions of peers are
	// written to disk. A new start of a peer is written immediately.
	memorySaveInterval = 30 * time.Second
	// memoryKept bounds the members that are remembered. Members that are
	// neither in the configuration nor heard of recently are dropped first.
	memoryKept = 16
)

// position is the position of an entry in a log. The position of the last entry
// of a member's log never decreases: a suffix is replaced only by entries of a
// later term.
type position struct {
	Term  uint64 `json:"term"`
	Index uint64 `json:"index"`
}

// before reports whether p is an earlier position than other.
func (p position) before(other position) bool {
	return p.Term < other.Term || p.Term == other.Term && p.Index < other.Index
}

// incarnation identifies one start of a member. Each start writes the next
// number to the member's disk, with a random id, before the member votes.
type incarnation struct {
	Start uint64 `json:"start"`
	ID    string `json:"id"`
}

// peerRecord is what this member remembers of another.
type peerRecord struct {
	incarnation
	Last   position `json:"last"`
	Format uint32   `json:"format"`
	// Full is set while the member's disk is full.
	Full bool `json:"full"`

	heard time.Time
}

// memory holds what this member remembers of its peers, by member id. Starts
// are on disk before they are acknowledged, and survive a restart of this
// member; positions are on disk with a delay. It is safe for concurrent use.
type memory struct {
	path string

	mu    sync.Mutex
	peers map[raft.ServerID]peerRecord
	// changed is set while the file is older than peers; saved is when it was
	// last written, or began to be.
	changed bool
	saved   time.Time

	// writing is held while the file is written. It is locked after mu. The
	// content is encoded with both held, so that a file is never replaced by an
	// older one; a write of positions then continues without mu, because
	// replication waits for mu: see acked.
	writing sync.Mutex
	// write replaces the file.
	write func(path string, raw []byte, mode os.FileMode) error
}

// memoryFile is the file of a memory. Sum is the crc32c of Peers.
type memoryFile struct {
	Sum   uint32          `json:"sum"`
	Peers json.RawMessage `json:"peers"`
}

// openMemory reads the memory. A damaged file is an error, together with an
// empty memory, which can be used.
func openMemory(path string) (*memory, error) {
	m := &memory{path: path, peers: map[raft.ServerID]peerRecord{}, write: atomicfile.Write}
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	var file memoryFile
	if err == nil {
		err = json.Unmarshal(raw, &file)
	}
	if err == nil && crc32.Checksum(file.Peers, castagnoli) != file.Sum {
		err = errDamaged
	}
	if err == nil {
		err = json.Unmarshal(file.Peers, &m.peers)
	}
	if err != nil || m.peers == nil {
		m.peers = map[raft.ServerID]peerRecord{}
	}
	if err != nil {
		return m, fmt.Errorf("read what is remembered of other masters: %w", err)
	}
	return m, nil
}

// of returns what is remembered of a member.
func (m *memory) of(id raft.ServerID) (peerRecord, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.peers[id]
	return r, ok
}

// acked records an entry that a member acknowledged to this leader.
func (m *memory) acked(id raft.ServerID, at position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.peers[id]
	if r.Last.before(at) {
		r.Last = at
		m.peers[id], m.changed = r, true
	}
}

// flush writes what is not on disk yet.
func (m *memory) flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.changed {
		return nil
	}
	return m.save()
}

// record stores what a member reports about itself. When it returns nil, the
// start is on disk. A new start is written with the lock held, so that no other
// call returns it earlier; positions are written without it.
func (m *memory) record(id raft.ServerID, reported peerRecord, servers []raft.Server) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.peers[id]
	if reported.Start < r.Start || reported.Start == r.Start && reported.ID != r.ID {
		return fmt.Errorf("record start %d of %s: start %d of it was seen before", reported.Start, id, r.Start)
	}
	started := reported.Start > r.Start
	m.changed = m.changed || started || r.Last.before(reported.Last) || r.Format != reported.Format
	r.incarnation, r.Format, r.Full, r.heard = reported.incarnation, reported.Format, reported.Full, time.Now()
	if r.Last.before(reported.Last) {
		r.Last = reported.Last
	}
	m.peers[id] = r
	if !started {
		m.savePositions(servers)
		return nil
	}
	m.prune(servers)
	if err := m.save(); err != nil {
		r.incarnation = incarnation{}
		m.peers[id] = r
		return err
	}
	return nil
}

// savePositions writes the file, if that is due and no other write is in
// progress. A failed write is repeated later. The caller holds the lock, which is
// released meanwhile.
func (m *memory) savePositions(servers []raft.Server) {
	if !m.changed || time.Since(m.saved) < memorySaveInterval || !m.writing.TryLock() {
		return
	}
	m.prune(servers)
	raw, err := m.encode()
	m.changed, m.saved = false, time.Now()
	m.mu.Unlock()
	if err == nil {
		err = m.write(m.path, raw, 0o600)
	}
	m.writing.Unlock()
	m.mu.Lock()
	if err != nil {
		m.changed, m.saved = true, time.Time{}
	}
}

// formats returns the oldest of the formats of servers, own for this member
// itself. A member that never reported one counts as 1.
func (m *memory) formats(servers []raft.Server, self raft.ServerID, own uint32) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	oldest := own
	for _, s := range servers {
		if s.ID != self {
			oldest = min(oldest, max(m.peers[s.ID].Format, 1))
		}
	}
	return oldest
}

// prune drops members until few are left. The caller holds the lock.
func (m *memory) prune(servers []raft.Server) {
	for id, r := range m.peers {
		if len(m.peers) <= memoryKept {
			return
		}
		if _, known := find(servers, id); !known && time.Since(r.heard) > time.Minute {
			delete(m.peers, id)
		}
	}
}

// save writes the file. The caller holds the lock.
func (m *memory) save() error {
	m.writing.Lock()
	defer m.writing.Unlock()
	raw, err := m.encode()
	if err != nil {
		return err
	}
	if err := m.write(m.path, raw, 0o600); err != nil {
		return fmt.Errorf("write what is remembered of other masters: %w", err)
	}
	m.changed, m.saved = false, time.Now()
	return nil
}

// encode returns the content of the file. The caller holds the lock.
func (m *memory) encode() ([]byte, error) {
	peers, err := json.Marshal(m.peers)
	if err != nil {
		return nil, fmt.Errorf("encode what is remembered of other masters: %w", err)
	}
	raw, err := json.Marshal(memoryFile{Sum: crc32.Checksum(peers, castagnoli), Peers: peers})
	if err != nil {
		return nil, fmt.Errorf("encode what is remembered of other masters: %w", err)
	}
	return raw, nil
}

func (r peerRecord) message() *masterv1.MemberRecord {
	return &masterv1.MemberRecord{
		Start: r.Start, StartId: r.ID, LastTerm: r.Last.Term, LastIndex: r.Last.Index, FormatVersion: r.Format,
		DiskFull: r.Full,
	}
}

func recordOf(m *masterv1.MemberRecord) peerRecord {
	return peerRecord{
		incarnation: incarnation{Start: m.GetStart(), ID: m.GetStartId()},
		Last:        position{Term: m.GetLastTerm(), Index: m.GetLastIndex()},
		Format:      m.GetFormatVersion(),
		Full:        m.GetDiskFull(),
	}
}
