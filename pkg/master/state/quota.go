package state

import "github.com/jindo-io/jindo/pkg/master/state/statev1"

// reservedSessions is how many open sessions each owner may have even when the
// table is full, so that other owners together cannot keep one out.
const reservedSessions = 2

// makeRoom drops ended sessions so that one more fits, or returns a refusal. The
// quota is part of the command: members of versions with different quotas decide
// alike. replaced is the owner's session that the command ends, or nil.
//
// Invariants, for commands with a quota: an owner has at most MaxOpen open
// sessions and MaxKept in all, and what it opens never drops a session of another
// owner while its own ended ones can be dropped.
func (t *tx) makeRoom(op *statev1.OpenSession, replaced *statev1.Session) *statev1.Result {
	full := t.rows[tableSessions] >= MaxSessions
	if op.GetMaxOpen() == 0 || mutantNoQuota {
		if full && !t.evictEnded() {
			return refuse(statev1.Refusal_CODE_LIMIT, "sessions", "")
		}
		return nil
	}
	own := t.sessionsOf(op.GetOwner())
	open := own.open
	if replaced != nil && replaced.GetEnded() == 0 {
		open--
	}
	if open >= int(op.GetMaxOpen()) {
		return refuse(statev1.Refusal_CODE_LIMIT, "sessions of "+op.GetOwner(), "")
	}
	switch {
	case own.firstEnded != nil && (full || own.open+own.ended >= int(op.GetMaxKept())):
		t.drop(tableSessions, own.firstEnded)
	case full && !t.evictEnded() && open >= reservedSessions:
		return refuse(statev1.Refusal_CODE_LIMIT, "sessions", "")
	}
	return nil
}

// ownerSessions are the sessions of one owner.
type ownerSessions struct {
	open, ended int
	// firstEnded is the one that ended first; nil when none has.
	firstEnded *statev1.Session
}

func (t *tx) sessionsOf(owner string) ownerSessions {
	var own ownerSessions
	rows, err := t.txn.Get(tableSessions, indexOwner, text(owner))
	if err != nil {
		t.keep(err)
		return own
	}
	// Rows of one owner are in the order of their ids, on every member.
	for raw := rows.Next(); raw != nil; raw = rows.Next() {
		s, ok := raw.(*statev1.Session)
		switch {
		case !ok:
		case s.GetEnded() == 0:
			own.open++
		default:
			own.ended++
			if own.firstEnded == nil || s.GetEnded() < own.firstEnded.GetEnded() {
				own.firstEnded = s
			}
		}
	}
	return own
}
