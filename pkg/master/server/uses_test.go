package server

import (
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// inFlight returns the expiry of the session of tests as a leader has proposed
// it.
func (s *testbed) inFlight() *statev1.Command {
	s.t.Helper()
	server := s.servers[0]
	s.eventually("the leader knows the session", func() error {
		server.leases.mu.Lock()
		defer server.leases.mu.Unlock()
		if _, known := server.leases.used[sessionID]; !known {
			return errNotSent
		}
		return nil
	})
	return &statev1.Command{Operation: &statev1.Command_ExpireSessions{ExpireSessions: &statev1.ExpireSessions{
		Expiries: server.leases.due(1<<62, time.Hour, expireBatch),
	}}}
}

// A session is kept alive after its expiry was proposed and before it is
// executed, by a leader whose clock is far ahead by then.
func TestASessionKeptAliveOutlivesAnExpiryInFlight(t *testing.T) {
	s := newTestbed(t, 1)
	admin := s.coordination(0, adminPeer)
	open(t, admin, sessionID)
	expiry := s.inFlight()
	if _, err := admin.KeepAlive(t.Context(), &masterv1.KeepAliveRequest{Session: sessionID}); err != nil {
		t.Fatal(err)
	}
	s.servers[0].proposer.clock.wall = func() time.Time { return time.Now().Add(time.Hour) }
	if result, err := s.servers[0].proposer.propose(t.Context(), expiry); err != nil || result.GetChanged() {
		t.Fatalf("the expiry: %v, %v", result, err)
	}
	if _, err := admin.Mount(t.Context(), &masterv1.MountRequest{Request: id(1), Mount: dataMount()}); err != nil {
		t.Errorf("a command of the session: %v", err)
	}
}

// The expiry of a session is executed after a request to keep it alive has read
// it.
func TestASessionThatEndedMeanwhileIsNotGrantedALease(t *testing.T) {
	s := newTestbed(t, 1)
	open(t, s.coordination(0, adminPeer), sessionID)
	expiry := s.inFlight()
	read := s.servers[0].config.State.View().Session(sessionID)
	if result, err := s.servers[0].proposer.propose(t.Context(), expiry); err != nil || !result.GetChanged() {
		t.Fatalf("the expiry: %v, %v", result, err)
	}
	s.servers[0].leases.settled(expiry.GetExpireSessions().GetExpiries())
	if err := s.servers[0].extend(t.Context(), read); err == nil {
		t.Fatal("a lease was granted")
	}
}

// While a master has an older version, a lease is not granted that could not be
// kept.
func TestASessionBeingEndedIsNotGrantedALease(t *testing.T) {
	s := newTestbed(t, 1)
	admin := s.coordination(0, adminPeer)
	open(t, admin, sessionID)
	s.log.Member(0).SetFormat(1)
	expiry := s.inFlight()
	if lease, err := admin.KeepAlive(t.Context(), &masterv1.KeepAliveRequest{Session: sessionID}); err == nil {
		t.Errorf("a lease was granted: %v", lease)
	}
	s.servers[0].leases.settled(expiry.GetExpireSessions().GetExpiries())
	if _, err := admin.KeepAlive(t.Context(), &masterv1.KeepAliveRequest{Session: sessionID}); err != nil {
		t.Errorf("after the expiry was refused: %v", err)
	}
}

// A leader writes no entry that one of the members could not apply.
func TestEntriesHaveTheFormatOfTheOldestMember(t *testing.T) {
	s := newTestbed(t, 1)
	admin := s.coordination(0, adminPeer)
	for _, format := range []uint32{1, state.FormatVersion, state.FormatVersion + 1} {
		s.log.Member(0).SetFormat(format)
		session := sessionID[:16] + string(rune('0'+format))
		open(t, admin, session)
		entries := s.log.Entries()
		batch, err := state.DecodeBatch(entries[len(entries)-1])
		if err != nil || batch.GetVersion() != min(format, state.FormatVersion) {
			t.Errorf("the members know format %d; the entry has %d, %v", format, batch.GetVersion(), err)
		}
	}
}
