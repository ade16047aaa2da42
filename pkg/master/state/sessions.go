package state

import (
	"time"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

const (
	// MaxSessions that the state holds, the ended ones included.
	MaxSessions = 16384
	// endedKept is for how long an ended session stays known. It is longer
	// than any request lives.
	endedKept = 10 * time.Minute
	// buriedAtOnce bounds the work that one command does on the side.
	buriedAtOnce = 16
)

// session is the live session of a request; nil when it is unknown, has ended
// or is another's.
func (t *tx) session(request *statev1.Request) *statev1.Session {
	s := find[*statev1.Session](t, tableSessions, indexID, text(request.GetSession()))
	if s == nil || s.GetEnded() != 0 || s.GetOwner() != request.GetOwner() {
		return nil
	}
	return s
}

func (t *tx) openSession(op *statev1.OpenSession) *statev1.Result {
	t.dropEnded()
	s := find[*statev1.Session](t, tableSessions, indexID, text(op.GetSession()))
	if s != nil {
		if s.GetEnded() != 0 || s.GetOwner() != op.GetOwner() {
			return refuse(statev1.Refusal_CODE_SESSION_TAKEN, op.GetSession(), "")
		}
		// Opened before: the answer was lost.
		return &statev1.Result{}
	}
	var replaced *statev1.Session
	if op.GetReplaces() != "" {
		replaced = find[*statev1.Session](t, tableSessions, indexID, text(op.GetReplaces()))
		if replaced != nil && replaced.GetOwner() != op.GetOwner() {
			return refuse(statev1.Refusal_CODE_SESSION_TAKEN, op.GetReplaces(), "")
		}
	}
	if t.rows[tableSessions] >= MaxSessions && !t.makeRoom() {
		return refuse(statev1.Refusal_CODE_LIMIT, "sessions", "")
	}
	if replaced != nil && replaced.GetEnded() == 0 {
		t.end(replaced)
	}
	put(t, tableSessions, nil, &statev1.Session{
		Id: op.GetSession(), Owner: op.GetOwner(), Holder: op.GetHolder(), Ttl: op.GetTtl(), Used: t.meta.GetClock(),
	})
	return &statev1.Result{Changed: true}
}

func (t *tx) expireSessions(op *statev1.ExpireSessions) *statev1.Result {
	result := &statev1.Result{}
	for _, id := range op.GetSessions() {
		s := find[*statev1.Session](t, tableSessions, indexID, text(id))
		// Used may have grown since the leader decided: then it lives on.
		if s == nil || s.GetEnded() != 0 || t.meta.GetClock()-s.GetUsed() < s.GetTtl() {
			continue
		}
		t.end(s)
		result.Changed = true
	}
	t.dropEnded()
	return result
}

// end forgets a session's results and keeps its name.
func (t *tx) end(s *statev1.Session) {
	rows, err := t.txn.Get(tableResults, indexID+"_prefix", resultsOf(s.GetId()))
	if err != nil {
		t.keep(err)
		return
	}
	var results []*statev1.Remembered
	for raw := rows.Next(); raw != nil; raw = rows.Next() {
		if r, ok := raw.(*statev1.Remembered); ok {
			results = append(results, r)
		}
	}
	for _, r := range results {
		t.drop(tableResults, r)
	}
	ended := clone(s)
	ended.Ended = max(t.meta.GetClock(), 1)
	put(t, tableSessions, s, ended)
}

// bury drops sessions that ended long ago, the longest ago first.
func (t *tx) dropEnded() {
	for range buriedAtOnce {
		s := t.oldestEnded()
		if s == nil || t.meta.GetClock()-s.GetEnded() < int64(endedKept) {
			return
		}
		t.drop(tableSessions, s)
	}
}

// makeRoom drops the session that ended the longest ago, however long that is.
func (t *tx) makeRoom() bool {
	s := t.oldestEnded()
	if s == nil {
		return false
	}
	t.drop(tableSessions, s)
	return true
}

func (t *tx) oldestEnded() *statev1.Session {
	raw, err := t.txn.First(tableSessions, indexEnded)
	t.keep(err)
	s, _ := raw.(*statev1.Session)
	return s
}
