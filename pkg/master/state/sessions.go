package state

import (
	"time"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

const (
	// MaxSessions is the maximum number of sessions in the state, including the
	// ended ones.
	MaxSessions = 16384
	// endedKept is how long an ended session is kept. It is longer than the
	// lifetime of any request.
	endedKept = 10 * time.Minute
	// dropBatch bounds how many ended sessions one command drops.
	dropBatch = 16
)

// session returns the open session of a request; nil when it is unknown, has
// ended or belongs to another owner.
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
		// Opened before: the response was lost.
		return &statev1.Result{}
	}
	var replaced *statev1.Session
	if op.GetReplaces() != "" {
		replaced = find[*statev1.Session](t, tableSessions, indexID, text(op.GetReplaces()))
		if replaced != nil && replaced.GetOwner() != op.GetOwner() {
			return refuse(statev1.Refusal_CODE_SESSION_TAKEN, op.GetReplaces(), "")
		}
	}
	if refusal := t.makeRoom(op, replaced); refusal != nil {
		return refusal
	}
	if replaced != nil && replaced.GetEnded() == 0 {
		t.end(replaced)
	}
	put(t, tableSessions, nil, &statev1.Session{
		Id: op.GetSession(), Owner: op.GetOwner(), Holder: op.GetHolder(), Ttl: op.GetTtl(), Used: t.meta.GetClock(),
	})
	return &statev1.Result{Changed: true}
}

// use returns the time of a use after an earlier one. In formats with uses it
// differs from every earlier use of the row, also while the clock stands still
// because this leader's is behind that of the last one: a command that is based on
// an earlier use must not take the row for unused.
func (t *tx) use(last int64) int64 {
	if t.format < FormatUses {
		return t.meta.GetClock()
	}
	return max(t.meta.GetClock(), last+1)
}

// renewSession uses a session. An expiry that was proposed before the command
// and is executed after it does not end the session.
func (t *tx) renewSession(op *statev1.RenewSession) *statev1.Result {
	s := t.session(&statev1.Request{Session: op.GetSession(), Owner: op.GetOwner()})
	if s == nil {
		return refuse(statev1.Refusal_CODE_UNKNOWN_SESSION, op.GetSession(), "")
	}
	renewed := clone(s)
	renewed.Used = t.use(s.GetUsed())
	put(t, tableSessions, s, renewed)
	return &statev1.Result{Changed: true}
}

// expireSessions ends sessions that were not used since the proposer read them.
// The clock alone does not decide that: between the use of a session and the
// command it may have been set forward.
func (t *tx) expireSessions(op *statev1.ExpireSessions) *statev1.Result {
	result := &statev1.Result{}
	for _, e := range op.GetExpiries() {
		s := find[*statev1.Session](t, tableSessions, indexID, text(e.GetSession()))
		if s == nil || s.GetEnded() != 0 || s.GetUsed() != e.GetUsed() && !mutantExpireUsed {
			continue
		}
		t.end(s)
		result.Changed = true
	}
	for _, id := range op.GetSessions() {
		s := find[*statev1.Session](t, tableSessions, indexID, text(id))
		// The session may have been used since the leader decided. It then
		// stays open.
		if s == nil || s.GetEnded() != 0 || t.meta.GetClock()-s.GetUsed() < s.GetTtl() {
			continue
		}
		t.end(s)
		result.Changed = true
	}
	t.dropEnded()
	return result
}

// end drops a session's results and keeps its id.
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

// dropEnded drops sessions that ended more than endedKept ago, oldest first.
func (t *tx) dropEnded() {
	for range dropBatch {
		s := t.oldestEnded()
		if s == nil || t.meta.GetClock()-s.GetEnded() < int64(endedKept) {
			return
		}
		t.drop(tableSessions, s)
	}
}

// evictEnded drops the session that ended first, regardless of how long ago.
func (t *tx) evictEnded() bool {
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
