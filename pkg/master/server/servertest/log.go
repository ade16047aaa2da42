// Package servertest provides a log without Raft, for tests of packages that
// use one. A few members in one process apply the same entries; the test
// chooses the leader and which responses are lost.
package servertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Log is a log that its members share. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	members []*Member
	leader  int
	term    uint64
	index   uint64
	entries [][]byte
}

// Member is a member of a Log. It implements server.Consensus.
type Member struct {
	// Name is the name of the member, State its state.
	Name  string
	State *state.Machine

	log *Log
	at  int

	mu sync.Mutex
	// lost is how many of the next responses are lost after the entry was
	// applied, hung whether calls block until their contexts are done.
	lost int
	hung bool
	// format is what Format returns; 0 stands for the newest.
	format uint32
	// joined holds the requests that AddMember received.
	joined []*masterv1.JoinRequest
	// fatal is the error that Fatal was called with.
	fatal error
}

// New returns a log whose first member is the leader.
func New(names ...string) (*Log, error) {
	l := &Log{term: 1}
	for i, name := range names {
		m := &Member{Name: name, log: l, at: i}
		machine, err := state.New(m.Fatal)
		if err != nil {
			return nil, fmt.Errorf("create the state of %s: %w", name, err)
		}
		m.State = machine
		l.members = append(l.members, m)
	}
	return l, nil
}

// Member returns the i-th member.
func (l *Log) Member(i int) *Member { return l.members[i] }

// Lead makes the i-th member the leader in a new term, or none for -1.
func (l *Log) Lead(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leader = i
	l.term++
}

// Entries returns the entries of the log so far.
func (l *Log) Entries() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([][]byte(nil), l.entries...)
}

// notLeader returns nil for the leader.
func (l *Log) notLeader(m *Member) error {
	if l.leader == m.at {
		return nil
	}
	name := ""
	if l.leader >= 0 {
		name = l.members[l.leader].Name
	}
	return &consensus.NotLeaderError{Leader: name, Term: l.term}
}

// LoseResponses makes the next n responses of Propose get lost: the entry is
// applied, and the outcome is unknown.
func (m *Member) LoseResponses(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = n
}

// Hang makes calls block until their contexts are done, or no longer block.
func (m *Member) Hang(hung bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hung = hung
}

// Joined returns the requests that AddMember received.
func (m *Member) Joined() []*masterv1.JoinRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*masterv1.JoinRequest(nil), m.joined...)
}

// Fatal records why the member cannot continue.
func (m *Member) Fatal(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fatal = err
}

// Failed returns the error that Fatal was called with.
func (m *Member) Failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fatal
}

func (m *Member) hang(ctx context.Context) error {
	m.mu.Lock()
	hung := m.hung
	m.mu.Unlock()
	if !hung {
		return nil
	}
	<-ctx.Done()
	return fmt.Errorf("%w: %w", consensus.ErrUnknownOutcome, ctx.Err())
}

// ProposeNotify is Propose; it calls appended when it returns.
func (m *Member) ProposeNotify(ctx context.Context, entry []byte, appended func()) (any, uint64, error) {
	defer appended()
	return m.Propose(ctx, entry)
}

// Propose applies an entry at every member.
func (m *Member) Propose(ctx context.Context, entry []byte) (any, uint64, error) {
	if err := m.hang(ctx); err != nil {
		return nil, 0, err
	}
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	if err := m.log.notLeader(m); err != nil {
		return nil, 0, err
	}
	m.log.index++
	m.log.entries = append(m.log.entries, entry)
	var response any
	for _, other := range m.log.members {
		result := other.State.Apply(m.log.index, entry)
		if other == m {
			response = result
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost > 0 {
		m.lost--
		return nil, 0, fmt.Errorf("the response was lost: %w", consensus.ErrUnknownOutcome)
	}
	return response, m.log.index, nil
}

// ReadIndex returns the index of the last entry on the leader.
func (m *Member) ReadIndex(ctx context.Context) (uint64, error) {
	if err := m.hang(ctx); err != nil {
		return 0, ctx.Err()
	}
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	return m.log.index, m.log.notLeader(m)
}

// SetFormat sets the format that all members can apply.
func (m *Member) SetFormat(format uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.format = format
}

// Format returns the format that all members can apply.
func (m *Member) Format() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return cmp.Or(m.format, state.FormatVersion)
}

// Leader returns the name of the leader, and the term.
func (m *Member) Leader() (string, uint64) {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	if m.log.leader < 0 {
		return "", m.log.term
	}
	return m.log.members[m.log.leader].Name, m.log.term
}

// Status returns a status with few fields set.
func (m *Member) Status() *masterv1.StatusResponse {
	leader, term := m.Leader()
	s := &masterv1.StatusResponse{Name: m.Name, MemberId: m.Name + "-1", State: "FOLLOWER", Leader: leader, Term: term, Voter: true, Ready: leader != ""}
	if leader == m.Name {
		s.State = "LEADER"
	}
	return s
}

// Transfer transfers leadership to a member, or to the next one.
func (m *Member) Transfer(_ context.Context, to string) (string, error) {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	if err := m.log.notLeader(m); err != nil {
		return "", err
	}
	for i, other := range m.log.members {
		if other.Name == to || to == "" && other != m {
			m.log.leader = i
			m.log.term++
			return other.Name, nil
		}
	}
	return "", fmt.Errorf("%s is not a voter, or has not responded to this leader recently", to)
}

// Describe returns the identity of the member.
func (m *Member) Describe(*masterv1.DescribeRequest) *masterv1.DescribeResponse {
	return &masterv1.DescribeResponse{Name: m.Name, MemberId: m.Name + "-1", HasState: true}
}

// AddMember records the request.
func (m *Member) AddMember(_ context.Context, request *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	m.log.mu.Lock()
	err := m.log.notLeader(m)
	m.log.mu.Unlock()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.joined = append(m.joined, request)
	return &masterv1.JoinResponse{Voter: true}, nil
}

// errNoDisk is the error of calls that concern disks and configurations.
var errNoDisk = errors.New("a log without Raft has neither a configuration nor a disk")

// RemoveMember fails.
func (m *Member) RemoveMember(context.Context, string) (string, error) { return "", errNoDisk }

// Checksums fails.
func (m *Member) Checksums(context.Context, uint64, uint64) (*masterv1.ChecksumsResponse, error) {
	return nil, errNoDisk
}

// Recover fails.
func (m *Member) Recover(context.Context, bool, uint64) (*masterv1.RecoverResponse, error) {
	return nil, errNoDisk
}

// RecordVerification fails.
func (m *Member) RecordVerification(*masterv1.Verification) error { return errNoDisk }

// Restore fails.
func (m *Member) Restore(context.Context, consensus.StateMachine, uint64, uint64) (uint64, error) {
	return 0, errNoDisk
}

// Topology lists the members, by their names only.
func (m *Member) Topology() topology.Topology {
	var t topology.Topology
	for _, other := range m.log.members {
		t.Masters = append(t.Masters, topology.Member{Name: other.Name})
	}
	return t
}

// Admits reports whether the log has a member of a name.
func (m *Member) Admits(name string) bool {
	_, listed := m.Topology().Master(name)
	return listed
}

// Reason returns an empty string: the member is in a cluster.
func (m *Member) Reason() string { return "" }
