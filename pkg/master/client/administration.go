package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// checksumsTimeout bounds the time in which one master reads its log.
const checksumsTimeout = 30 * time.Second

// RemovePeer removes a member, given by its name or id, and returns the id.
func (c *Client) RemovePeer(ctx context.Context, member string) (string, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	var response *masterv1.RemovePeerResponse
	e := c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		response, err = masterv1.NewMemberClient(conn).RemovePeer(ctx, &masterv1.RemovePeerRequest{Member: member})
		return err
	})
	err := e.failure()
	if err != nil && e.uncertain {
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	if err != nil {
		return "", fmt.Errorf("remove a member: %w", err)
	}
	return response.GetMemberId(), nil
}

// recoverTimeout bounds a recovery, in which a master reads its whole disk.
const recoverTimeout = 2 * time.Minute

// Recover describes the recovery of the cluster from the named master, and, if confirm
// is set, makes it recover; see masterv1. Without a deadline in ctx, it takes at most
// two minutes.
func (c *Client) Recover(ctx context.Context, master string, confirm bool) (*masterv1.RecoverResponse, error) {
	m, err := c.members.named(master)
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	mtls.Reconnect(m.conn)
	response, err := masterv1.NewMemberClient(m.conn).Recover(ctx, &masterv1.RecoverRequest{Confirm: confirm})
	if err != nil {
		s := status.Convert(err)
		return nil, fmt.Errorf("recover from %s: %w", master, &RefusedError{Code: s.Code(), Message: s.Message()})
	}
	return response, nil
}

// Verification compares the members with each other.
type Verification struct {
	// First and Last bound the entries that every member that responded has in its
	// log; 0 when there are none.
	First, Last uint64
	// DigestIndex is the newest index at which every member has a digest of its
	// state; 0 when there is none.
	DigestIndex uint64
	Members     []VerifiedMember
}

// VerifiedMember is the result of one member.
type VerifiedMember struct {
	Name string
	// Checksum is that of the entries First to Last, Digest that of the state at
	// DigestIndex.
	Checksum, Digest string
	// Err is set for a member that did not respond, or whose log is damaged.
	Err error
}

// Differ reports whether two members that responded differ.
func (v *Verification) Differ() bool {
	var first *VerifiedMember
	for i := range v.Members {
		m := &v.Members[i]
		switch {
		case m.Err != nil:
		case first == nil:
			first = m
		case m.Checksum != first.Checksum || m.Digest != first.Digest:
			return true
		}
	}
	return false
}

// Verify makes every master read its log, and compares the logs and the states. The
// cluster serves meanwhile.
func (c *Client) Verify(ctx context.Context) *Verification {
	v := &Verification{}
	members := c.members.all()
	v.Members = make([]VerifiedMember, len(members))
	for i, r := range c.Members(ctx) {
		if i >= len(members) {
			break // the topology has changed meanwhile
		}
		v.Members[i] = VerifiedMember{Name: r.Member.Name, Err: r.Err}
		if r.Err != nil {
			continue
		}
		last := min(r.Status.GetLastLogIndex(), r.Status.GetAppliedIndex())
		if v.Last == 0 || last < v.Last {
			v.Last = last
		}
		v.First = max(v.First, r.Status.GetLastLogIndex()-r.Status.GetLogEntries()+1)
	}
	if v.First > v.Last {
		v.First, v.Last = 0, 0
	}
	responses := make([]*masterv1.ChecksumsResponse, len(members))
	each(ctx, members, checksumsTimeout, func(ctx context.Context, i int, m *member) {
		if v.Members[i].Err != nil {
			return
		}
		request := &masterv1.ChecksumsRequest{First: v.First, Last: v.Last}
		if v.Last == 0 {
			request.First, request.Last = 1, 1
		}
		response, err := masterv1.NewMemberClient(m.conn).Checksums(ctx, request)
		if err != nil {
			s := status.Convert(err)
			v.Members[i].Err = &RefusedError{Code: s.Code(), Message: s.Message()}
			return
		}
		responses[i] = response
	})
	v.compare(responses)
	c.record(ctx, v)
	return v
}

// Sound reports whether all members responded, no log is damaged and no two differ.
func (v *Verification) Sound() bool {
	return !v.Differ() && !slices.ContainsFunc(v.Members, func(m VerifiedMember) bool { return m.Err != nil })
}

// record sends the result to every master, for its status. Those that do not accept it,
// such as masters of an older version, report the result that they have.
func (c *Client) record(ctx context.Context, v *Verification) {
	result := &masterv1.Verification{Result: masterv1.Verification_RESULT_INCOMPLETE, First: v.First, Last: v.Last, DigestIndex: v.DigestIndex}
	switch {
	case v.Differ():
		result.Result = masterv1.Verification_RESULT_DIFFERENT
	case v.Sound():
		result.Result = masterv1.Verification_RESULT_EQUAL
	}
	for _, m := range v.Members {
		if m.Err != nil {
			result.Failed = append(result.Failed, m.Name)
		}
	}
	each(ctx, c.members.all(), memberTimeout, func(ctx context.Context, _ int, m *member) {
		_, _ = masterv1.NewMemberClient(m.conn).RecordVerification(ctx, &masterv1.RecordVerificationRequest{Verification: result})
	})
}

// compare sets the checksums of members that read the entries that were requested, and
// the digests at the newest common index.
func (v *Verification) compare(responses []*masterv1.ChecksumsResponse) {
	count, responded := map[uint64]int{}, 0
	for i, r := range responses {
		if r == nil {
			continue
		}
		responded++
		switch {
		case v.Last == 0:
		case r.GetFirst() == v.First && r.GetLast() == v.Last:
			v.Members[i].Checksum = r.GetChecksum()
		default:
			v.Members[i].Err = fmt.Errorf("its log has entries %d to %d of %d to %d: a snapshot was taken meanwhile: try again", r.GetFirst(), r.GetLast(), v.First, v.Last)
		}
		for _, d := range r.GetDigests() {
			count[d.GetIndex()]++
		}
	}
	for index, members := range count {
		if members == responded {
			v.DigestIndex = max(v.DigestIndex, index)
		}
	}
	for i, r := range responses {
		for _, d := range r.GetDigests() {
			if d.GetIndex() == v.DigestIndex {
				v.Members[i].Digest = d.GetDigest()
			}
		}
	}
}
