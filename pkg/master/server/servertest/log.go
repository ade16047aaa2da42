// Package servertest is a log without Raft, for tests of what stands on one: a
// few members in one process that apply the same entries, of which one leads
// as the test says, and whose answers get lost as the test says.
package servertest

import (
	"context"
	"fmt"
	"sync"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// Log is shared by its members. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	members []*Member
	leader  int
	term    uint64
	index   uint64
	entries [][]byte
}

// Member of a Log. It implements what a master's server needs of consensus.
type Member struct {
	// Name of the member, and its state.
	Name  string
	State *state.Machine

	log *Log
	at  int

	mu sync.Mutex
	// lost is how many of the next answers get lost after the entry has been
	// applied; hung whether calls wait for their end.
	lost int
	hung bool
	// joined are the requests that AddMember took.
	joined []*masterv1.JoinRequest
	// Fatal is what the state said when it could not go on.
	fatal error
}

// New makes a log whose first member leads.
func New(names ...string) (*Log, error) {
	l := &Log{term: 1}
	for i, name := range names {
		m := &Member{Name: name, log: l, at: i}
		machine, err := state.New(m.Fatal)
		if err != nil {
			return nil, fmt.Errorf("making the state of %s: %w", name, err)
		}
		m.State = machine
		l.members = append(l.members, m)
	}
	return l, nil
}

// Member by its place.
func (l *Log) Member(i int) *Member { return l.members[i] }

// Lead gives leadership to a member, or to nobody for -1, in a new term.
func (l *Log) Lead(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leader = i
	l.term++
}

// Entries of the log so far.
func (l *Log) Entries() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([][]byte(nil), l.entries...)
}

// notLeader is nil for the leader.
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

// LoseAnswers makes the next answers to Propose get lost: the entry is
// applied, and the outcome is unknown.
func (m *Member) LoseAnswers(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = n
}

// Hang makes calls wait until their contexts end, or stops that.
func (m *Member) Hang(hung bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hung = hung
}

// Joined are the requests that AddMember took.
func (m *Member) Joined() []*masterv1.JoinRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*masterv1.JoinRequest(nil), m.joined...)
}

// Fatal keeps why the member cannot go on.
func (m *Member) Fatal(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fatal = err
}

// Failed is what Fatal was called with.
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
	var answer any
	for _, other := range m.log.members {
		result := other.State.Apply(m.log.index, entry)
		if other == m {
			answer = result
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost > 0 {
		m.lost--
		return nil, 0, fmt.Errorf("the answer was lost: %w", consensus.ErrUnknownOutcome)
	}
	return answer, m.log.index, nil
}

// ReadIndex answers the leader.
func (m *Member) ReadIndex(ctx context.Context) (uint64, error) {
	if err := m.hang(ctx); err != nil {
		return 0, ctx.Err()
	}
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	return m.log.index, m.log.notLeader(m)
}

// Leader is who leads, and the term.
func (m *Member) Leader() (string, uint64) {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	if m.log.leader < 0 {
		return "", m.log.term
	}
	return m.log.members[m.log.leader].Name, m.log.term
}

// Status says little.
func (m *Member) Status() *masterv1.StatusResponse {
	leader, term := m.Leader()
	s := &masterv1.StatusResponse{Name: m.Name, MemberId: m.Name + "-1", State: "FOLLOWER", Leader: leader, Term: term, Voter: true, Ready: leader != ""}
	if leader == m.Name {
		s.State = "LEADER"
	}
	return s
}

// Transfer gives leadership to a member, or to the next one.
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
	return "", fmt.Errorf("%s is no voter that this leader has heard from lately", to)
}

// Describe says who this is.
func (m *Member) Describe() *masterv1.DescribeResponse {
	return &masterv1.DescribeResponse{Name: m.Name, MemberId: m.Name + "-1", HasState: true}
}

// AddMember notes the request.
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

// Reason is empty: the member is in a cluster.
func (m *Member) Reason() string { return "" }
