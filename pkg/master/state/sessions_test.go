package state

import (
	"fmt"
	"testing"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

const ttl = int64(60e9)

func TestSessionEndsOnlyWhenUnused(t *testing.T) {
	f := formed(t)
	f.must(by(1, mount("/data", "oss://b/")))
	used := f.View().Session("s").GetUsed()
	if r := f.must(expire(used+ttl-1, "s", "unknown")); r.GetChanged() || f.View().Session("s") == nil {
		t.Fatal("a session ended before its time")
	}
	if r := f.must(expire(used+ttl, "s")); !r.GetChanged() || f.View().Session("s") != nil {
		t.Fatal("a session did not end at its time")
	}
	f.unchanged(func() {
		f.refused(by(1, mount("/data", "oss://b/")), statev1.Refusal_CODE_UNKNOWN_SESSION)
		f.refused(by(2, invalidate("/data")), statev1.Refusal_CODE_UNKNOWN_SESSION)
	})
	if rows := f.View().head.rows[tableResults]; rows != 0 {
		t.Errorf("%d results of the ended session are stored", rows)
	}
}

// TestEndedSessionIsNotOpenedAgain: a late duplicate of OpenSession must not
// let a late duplicate of the first command be executed again.
func TestEndedSessionIsNotOpenedAgain(t *testing.T) {
	f := formed(t)
	f.must(by(1, mount("/data", "oss://b/")))
	f.must(replace("t", "admin/a", "s"))
	f.refused(open("s", "admin/a"), statev1.Refusal_CODE_SESSION_TAKEN)
	f.unchanged(func() { f.refused(by(1, mount("/data", "oss://b/")), statev1.Refusal_CODE_UNKNOWN_SESSION) })

	// It is dropped after endedKept.
	f.must(expire(f.View().Clock()+int64(endedKept), "unknown"))
	if rows := f.View().head.rows[tableSessions]; rows != 1 {
		t.Errorf("%d sessions are stored", rows)
	}
}

func TestOpeningAgainChangesNothing(t *testing.T) {
	f := formed(t)
	f.refused(by(1, invalidate("/data")), statev1.Refusal_CODE_NOT_FOUND)
	before := f.View().Session("s")
	if r := f.must(open("s", "admin/a")); r.GetChanged() {
		t.Error("opening a session again changed the state")
	}
	if after := f.View().Session("s"); after.GetLast() != before.GetLast() {
		t.Errorf("the session was %v, and is %v", before, after)
	}
	f.refused(open("s", "admin/b"), statev1.Refusal_CODE_SESSION_TAKEN)
	f.refused(replace("u", "admin/b", "s"), statev1.Refusal_CODE_SESSION_TAKEN)
}

func TestClockNeverDecreases(t *testing.T) {
	f := formed(t)
	ahead := f.View().Clock() + int64(1e15)
	f.must(expire(ahead))
	c := open("t", "admin/a")
	c.Time = 5
	f.must(c)
	if got := f.View().Clock(); got != ahead {
		t.Errorf("the clock is at %d, not at %d", got, ahead)
	}
	if used := f.View().Session("t").GetUsed(); used != ahead {
		t.Errorf("the session was used at %d, not at %d", used, ahead)
	}
}

// TestEndedSessionsMakeRoom: a full table drops sessions that have ended,
// oldest first, before it refuses new ones.
func TestEndedSessionsMakeRoom(t *testing.T) {
	f := formed(t)
	f.must(replace("s2", "admin/a", "s"))
	f.must(replace("s3", "admin/a", "s2"))
	var commands []*statev1.Command
	for i := f.View().head.rows[tableSessions]; i < MaxSessions; i++ {
		commands = append(commands, open(fmt.Sprintf("n%d", i), "admin/a"))
		if len(commands) == MaxBatch || i == MaxSessions-1 {
			f.batch(commands...)
			commands = nil
		}
	}
	f.must(open("instead of the first", "admin/a"))
	f.refused(open("s2", "admin/a"), statev1.Refusal_CODE_SESSION_TAKEN)
	f.must(open("instead of the second", "admin/a"))
	f.refused(open("too many", "admin/a"), statev1.Refusal_CODE_LIMIT)
	if rows := f.View().head.rows[tableSessions]; rows != MaxSessions {
		t.Errorf("%d sessions are open", rows)
	}
}
