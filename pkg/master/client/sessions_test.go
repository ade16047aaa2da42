package client_test

import (
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// endSessions ends every session, as a leader does after a long pause.
func endSessions(t *testing.T, s *testbed) {
	t.Helper()
	view := s.log.Member(0).State.View()
	var ids []string
	for _, session := range view.Sessions() {
		ids = append(ids, session.GetId())
	}
	entry, err := state.EncodeBatch(state.FormatVersion, []*statev1.Command{{
		Time:      view.Clock() + int64(24*time.Hour),
		Operation: &statev1.Command_ExpireSessions{ExpireSessions: &statev1.ExpireSessions{Sessions: ids}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.log.Member(0).Propose(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	if left := len(s.log.Member(0).State.View().Sessions()); left != 0 || len(ids) == 0 {
		t.Fatalf("%[2]d of %[1]d sessions remain", len(ids), left)
	}
}
