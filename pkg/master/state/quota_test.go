package state

import (
	"fmt"
	"testing"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// limited returns a command that opens a session within a quota.
func limited(session, owner string, maxOpen, maxKept uint32) *statev1.Command {
	c := open(session, owner)
	c.GetOpenSession().MaxOpen, c.GetOpenSession().MaxKept = maxOpen, maxKept
	return c
}

// latest returns a formed fixture with the newest format.
func latest(t *testing.T) *fixture {
	t.Helper()
	f := formed(t)
	f.format = FormatVersion
	return f
}

// TestOneOwnerLeavesSessionsToOthers: an owner opens sessions without end, and
// replaces some. It has its quota, and others are served.
func TestOneOwnerLeavesSessionsToOthers(t *testing.T) {
	f := latest(t)
	var refused *statev1.Result
	for i := range 100 {
		r := f.do(limited(fmt.Sprintf("a%d", i), "worker/a", 8, 16))
		if i < 8 && r.GetRefusal() != nil {
			t.Fatalf("session %d was refused: %v", i, r.GetRefusal())
		}
		if r.GetRefusal() != nil {
			refused = r
		}
	}
	if refused.GetRefusal().GetCode() != statev1.Refusal_CODE_LIMIT || refused.GetRefusal().GetSubject() != "sessions of worker/a" {
		t.Fatalf("the refusal is %v", refused.GetRefusal())
	}
	if got := len(f.View().Sessions()); got != 1+8 {
		t.Errorf("%d sessions are open", got)
	}
	f.must(limited("b", "worker/b", 8, 16))

	// A session that replaces another one fits, and ended ones are dropped.
	before := "a0"
	for i := range 100 {
		c := limited(fmt.Sprintf("r%d", i), "worker/a", 8, 16)
		c.GetOpenSession().Replaces = before
		f.must(c)
		before = c.GetOpenSession().GetSession()
	}
	if rows := f.View().head.rows[tableSessions]; rows > 2+16+1 {
		t.Errorf("%d sessions are stored", rows)
	}
	// Its ended sessions are dropped, not those of others.
	f.must(expire(f.View().Clock()+ttl, "b"))
	for i := range 100 {
		c := limited(fmt.Sprintf("q%d", i), "worker/a", 8, 16)
		c.GetOpenSession().Replaces = before
		f.do(c)
		before = c.GetOpenSession().GetSession()
	}
	f.refused(limited("b", "worker/b", 8, 16), statev1.Refusal_CODE_SESSION_TAKEN)
}

// TestSessionsOfEveryOwnerWhenTheTableIsFull: many owners fill the table within
// their quotas. Another owner is served.
func TestSessionsOfEveryOwnerWhenTheTableIsFull(t *testing.T) {
	f := latest(t)
	var commands []*statev1.Command
	for i := f.View().head.rows[tableSessions]; i < MaxSessions; i++ {
		c := limited(fmt.Sprintf("n%d", i), fmt.Sprintf("worker/%d", i/16), 32, 64)
		c.Time = f.now + 1
		commands = append(commands, c)
		if len(commands) == MaxBatch || i == MaxSessions-1 {
			f.batch(commands...)
			commands = nil
		}
	}
	f.now += 2
	f.refused(limited("more", "worker/0", 32, 64), statev1.Refusal_CODE_LIMIT)
	for i := range reservedSessions {
		f.must(limited(fmt.Sprintf("first%d", i), "worker/new", 32, 64))
	}
	f.refused(limited("third", "worker/new", 32, 64), statev1.Refusal_CODE_LIMIT)
	f.must(limited("admin", "admin/b", 512, 2048))
}

// TestQuotasNeedTheFormat: an entry for members of an older version has none,
// and the state is the same as before.
func TestQuotasNeedTheFormat(t *testing.T) {
	f := formed(t)
	for i := range 100 {
		f.must(limited(fmt.Sprintf("a%d", i), "worker/a", 8, 16))
	}
	if got := len(f.View().Sessions()); got != 101 {
		t.Errorf("%d sessions are open", got)
	}
}
