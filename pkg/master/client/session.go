package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// sessionTTL is the requested time to live of a session. Commands are rare: a
// session that has not been used for half of this is replaced rather than kept
// alive.
const sessionTTL = time.Minute

// session is the scope of request ids. It may be accessed only by the holder of
// the turn.
type session struct {
	// id is empty when there is no session.
	id string
	// last is the last sequence whose outcome is known.
	last uint64
	// used is when a master last confirmed it.
	used time.Time
	ttl  time.Duration
	// replaces is the previous session, in which a command may be in progress.
	replaces string
}

// command executes a command at most once: send is called with the same request
// id until a master responds.
func (c *Client) command(ctx context.Context, send func(ctx context.Context, conn *grpc.ClientConn, id *masterv1.RequestId) error) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	c.connect()
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for an earlier command of this client: %w", ctx.Err())
	}
	for {
		if err := c.open(ctx); err != nil {
			return err
		}
		id := &masterv1.RequestId{Session: c.session.id, Sequence: c.session.last + 1, Acknowledged: c.session.last}
		again, err := c.finish(c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error { return send(ctx, conn, id) }))
		if !again {
			return err
		}
	}
}

// finish updates the session with the outcome of a command. It returns true
// when nothing was executed because the session had ended, or is not that of the
// masters, and the command must be sent again under another id.
func (c *Client) finish(e outcome) (bool, error) {
	s := &c.session
	switch {
	case e.failure() == nil, e.refusal != nil && e.refusal.usedSequence():
		s.last++
		s.used = time.Now()
		return false, e.failure()
	case e.refusal == nil && !e.uncertain:
		return false, e.err // the sequence is unused
	case e.refusal == nil:
		s.abandon()
		return false, fmt.Errorf("%w: %w", ErrUnknownOutcome, e.err)
	case e.refusal.Reason == "" && !e.uncertain:
		return false, e.refusal
	case e.refusal.forEveryMaster():
		// Any master would have refused an earlier attempt. As a precaution, the
		// sequence is not used again.
		s.abandon()
		return false, e.refusal
	case e.uncertain:
		s.abandon()
		return false, fmt.Errorf("%w: %s", ErrUnknownOutcome, e.refusal.Message)
	}
	s.abandon()
	// Earlier requests are missing when the masters were recovered without the last
	// changes. Any other reason than these two means that the session is out of step,
	// which is a bug.
	return e.refusal.Reason == reasonUnknownSession || e.refusal.Reason == reasonGap, e.refusal
}

// abandon makes the next command open another session, which ends this one.
func (s *session) abandon() {
	*s = session{replaces: s.id}
}

// open ensures that there is a session that is likely to be alive.
func (c *Client) open(ctx context.Context) error {
	s := &c.session
	if s.id != "" && time.Since(s.used) < s.ttl/2 {
		return nil
	}
	if s.id != "" {
		s.abandon()
	}
	for {
		id, err := newSessionID()
		if err != nil {
			return err
		}
		var response *masterv1.OpenSessionResponse
		e := c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
			var err error
			response, err = masterv1.NewCoordinationClient(conn).OpenSession(ctx, &masterv1.OpenSessionRequest{
				Session: id, Holder: c.config.Holder, Ttl: durationpb.New(sessionTTL), Replaces: s.replaces,
			})
			return err
		})
		if e.refusal != nil && e.refusal.Reason == reasonSessionTaken && s.replaces != "" {
			s.replaces = "" // it was never this client's, so that no command of it is in progress
			continue
		}
		if err := e.failure(); err != nil {
			return fmt.Errorf("open session: %w", err)
		}
		*s = session{id: id, used: time.Now(), ttl: response.GetTtl().AsDuration()}
		return nil
	}
}

func newSessionID() (string, error) {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("generate session id: %w", err)
	}
	return hex.EncodeToString(random[:]), nil
}
