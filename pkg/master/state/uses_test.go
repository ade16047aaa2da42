package state

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

func newest(t testing.TB) *fixture {
	f := formed(t)
	f.format = FormatVersion
	return f
}

func expiry(at int64, session string, used int64) *statev1.Command {
	return &statev1.Command{Time: at, Operation: &statev1.Command_ExpireSessions{ExpireSessions: &statev1.ExpireSessions{
		Expiries: []*statev1.Expiry{{Session: session, Used: used}},
	}}}
}

func renew(session, owner string) *statev1.Command {
	return &statev1.Command{Operation: &statev1.Command_RenewSession{RenewSession: &statev1.RenewSession{Session: session, Owner: owner}}}
}

// The expiry was decided before the session was used, and is executed after it,
// with a time that is far ahead.
func TestAnExpiryInFlightDoesNotEndARenewedSession(t *testing.T) {
	for name, use := range map[string]*statev1.Command{
		"renewed": renew("s", "admin/a"),
		"used":    by(1, mount("/data", "oss://b/")),
	} {
		t.Run(name, func(t *testing.T) {
			f := newest(t)
			decided := f.View().Session("s").GetUsed()
			use.Time = decided // the clock does not distinguish them
			f.must(use)
			if r := f.must(expiry(decided+100*ttl, "s", decided)); r.GetChanged() || f.View().Session("s") == nil {
				t.Fatal("an expiry that was decided before ended the session")
			}
			if r := f.must(expiry(0, "s", f.View().Session("s").GetUsed())); !r.GetChanged() || f.View().Session("s") != nil {
				t.Fatal("an expiry of the last use did not end the session")
			}
		})
	}
}

// The clock stands still while a session is renewed and then used: the second use
// is none of those before.
func TestUsesOfASessionDiffer(t *testing.T) {
	f := newest(t)
	at := f.View().Session("s").GetUsed()
	seen := map[int64]bool{at: true}
	for i, use := range []*statev1.Command{renew("s", "admin/a"), by(1, mount("/a", "oss://b/")), by(2, mount("/b", "oss://b/")), renew("s", "admin/a")} {
		use.Time = at
		f.must(use)
		used := f.View().Session("s").GetUsed()
		if seen[used] {
			t.Errorf("use %d has the time of an earlier one", i)
		}
		seen[used] = true
		if r := f.must(expiry(at, "s", at)); r.GetChanged() {
			t.Fatalf("after use %d, an expiry that was decided before ended the session", i)
		}
	}
}

func TestRenewingASession(t *testing.T) {
	f := newest(t)
	before := f.View().Session("s").GetUsed()
	f.refused(renew("unknown", "admin/a"), statev1.Refusal_CODE_UNKNOWN_SESSION)
	f.refused(renew("s", "admin/b"), statev1.Refusal_CODE_UNKNOWN_SESSION)
	if used := f.View().Session("s").GetUsed(); used != before {
		t.Error("a refused renewal used the session")
	}
	f.must(expiry(0, "s", f.View().Session("s").GetUsed()))
	f.refused(renew("s", "admin/a"), statev1.Refusal_CODE_UNKNOWN_SESSION)
}

// A worker registers, unchanged, after the leader decided that it is absent.
func TestARemovalInFlightKeepsAWorkerThatRegistered(t *testing.T) {
	f := newest(t)
	f.must(by(1, register("w", "i")))
	decided := f.View().Worker("w").GetUsed()
	ring := f.View().RingEpoch()
	if r := f.must(by(2, register("w", "i"))); r.GetChanged() || f.View().RingEpoch() != ring {
		t.Errorf("registering again changed the ring: %v", r)
	}
	absent := remove("w", "i")
	absent.GetRemoveWorker().Used = decided
	f.refused(absent, statev1.Refusal_CODE_RENEWED)
	again := remove("w", "i")
	again.GetRemoveWorker().Used = f.View().Worker("w").GetUsed()
	f.must(again)
}

// Members of the oldest format apply what a newer leader proposes for them.
func TestOlderFormatHasNoUses(t *testing.T) {
	removal := remove("w", "i")
	removal.GetRemoveWorker().Used = 5
	commands := []*statev1.Command{expiry(1, "s", 7), removal}
	before := []*statev1.Command{clone(commands[0]), clone(commands[1])}
	entry, err := EncodeBatch(1, commands)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := DecodeBatch(entry)
	if err != nil {
		t.Fatal(err)
	}
	want := []*statev1.Command{expire(1, "s"), remove("w", "i")}
	for i, c := range batch.GetCommands() {
		if !proto.Equal(c, want[i]) || !proto.Equal(commands[i], before[i]) || batch.GetVersion() != 1 {
			t.Errorf("in format %d it is %v, want %v; the original is %v", batch.GetVersion(), c, want[i], commands[i])
		}
	}
	for format, commands := range map[uint32][]*statev1.Command{
		0: {form("c")}, FormatVersion + 1: {form("c")}, 1: {renew("s", "admin/a")},
	} {
		if _, err := EncodeBatch(format, commands); err == nil {
			t.Errorf("%v was encoded in format %d", commands, format)
		}
	}
}
