package state

import (
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// MaxUnacknowledged is the maximum number of results that are kept for a
// session.
const MaxUnacknowledged = 1024

// Numbers of the operations, as in Result.operation: their field numbers in
// Command.
const (
	OpFormCluster    = 10
	OpOpenSession    = 11
	OpExpireSessions = 12
	OpRegisterWorker = 13
	OpRemoveWorker   = 14
	OpPutMount       = 15
	OpRemoveMount    = 16
	OpInvalidate     = 17
	OpRenewSession   = 18
)

// Operation returns the number of a command's operation; 0 when it has none
// that this version knows.
func Operation(c *statev1.Command) uint32 {
	switch c.GetOperation().(type) {
	case *statev1.Command_FormCluster:
		return OpFormCluster
	case *statev1.Command_OpenSession:
		return OpOpenSession
	case *statev1.Command_ExpireSessions:
		return OpExpireSessions
	case *statev1.Command_RegisterWorker:
		return OpRegisterWorker
	case *statev1.Command_RemoveWorker:
		return OpRemoveWorker
	case *statev1.Command_PutMount:
		return OpPutMount
	case *statev1.Command_RemoveMount:
		return OpRemoveMount
	case *statev1.Command_Invalidate:
		return OpInvalidate
	case *statev1.Command_RenewSession:
		return OpRenewSession
	}
	return 0
}

func refuse(code statev1.Refusal_Code, subject, other string) *statev1.Result {
	return &statev1.Result{Refusal: &statev1.Refusal{Code: code, Subject: subject, Other: other}}
}

// execute executes one command, at most once when it has a request id. A
// command that is not executed changes nothing at all.
func (t *tx) execute(c *statev1.Command) *statev1.Result {
	result := t.executeRequest(c)
	if result.GetOperation() == 0 {
		result.Operation = Operation(c)
	}
	return result
}

func (t *tx) executeRequest(c *statev1.Command) *statev1.Result {
	cluster := t.cluster()
	if cluster == nil && Operation(c) != OpFormCluster {
		return refuse(statev1.Refusal_CODE_NOT_FORMED, "", "")
	}
	request := c.GetRequest()
	if request == nil {
		if needsSession(Operation(c)) {
			return refuse(statev1.Refusal_CODE_NO_REQUEST, "", "")
		}
		return t.operate(c)
	}
	session := t.session(request)
	if session == nil {
		return refuse(statev1.Refusal_CODE_UNKNOWN_SESSION, request.GetSession(), "")
	}
	if stored := t.storedResult(session, c); stored != nil {
		return stored
	}
	result := t.operate(c)
	result.Operation = Operation(c)
	t.storeResult(session, request, result)
	return result
}

// needsSession reports whether only a request of a client may carry the
// operation.
func needsSession(operation uint32) bool {
	switch operation {
	case OpRegisterWorker, OpPutMount, OpRemoveMount, OpInvalidate:
		return true
	}
	return false
}

// storedResult returns the result of a request that must not be executed: the
// stored result of an earlier execution, or a refusal. It returns nil for a
// request to execute.
func (t *tx) storedResult(session *statev1.Session, c *statev1.Command) *statev1.Result {
	request := c.GetRequest()
	sequence := request.GetSequence()
	switch {
	case sequence == 0 || sequence > session.GetLast()+1:
		return refuse(statev1.Refusal_CODE_GAP, session.GetId(), "")
	case sequence <= session.GetAcknowledged():
		return refuse(statev1.Refusal_CODE_FORGOTTEN, session.GetId(), "")
	case sequence <= session.GetLast():
		return t.repeat(session, c)
	case session.GetLast()-acknowledged(session, request) >= MaxUnacknowledged:
		return refuse(statev1.Refusal_CODE_UNACKNOWLEDGED, session.GetId(), "")
	}
	return nil
}

func (t *tx) repeat(session *statev1.Session, c *statev1.Command) *statev1.Result {
	if mutantNoDedup {
		return nil
	}
	before := find[*statev1.Remembered](t, tableResults, indexID, resultKey(session.GetId(), c.GetRequest().GetSequence()))
	if before.GetResult().GetOperation() != Operation(c) {
		return refuse(statev1.Refusal_CODE_REUSED, session.GetId(), "")
	}
	return before.GetResult()
}

// acknowledged returns the low-water mark after a request. It never decreases,
// and never exceeds the last executed sequence.
func acknowledged(session *statev1.Session, request *statev1.Request) uint64 {
	return max(session.GetAcknowledged(), min(request.GetAcknowledged(), session.GetLast()))
}

// storeResult stores the result of a request and drops the acknowledged ones.
func (t *tx) storeResult(session *statev1.Session, request *statev1.Request, result *statev1.Result) {
	now := clone(session)
	now.Acknowledged = acknowledged(session, request)
	now.Last = max(now.GetLast(), request.GetSequence())
	now.Used = t.use(session.GetUsed())
	put(t, tableSessions, session, now)
	for sequence := session.GetAcknowledged() + 1; sequence <= now.GetAcknowledged(); sequence++ {
		t.dropResult(session.GetId(), sequence)
	}
	at := resultKey(session.GetId(), request.GetSequence())
	before := find[*statev1.Remembered](t, tableResults, indexID, at)
	put(t, tableResults, before, &statev1.Remembered{Session: session.GetId(), Sequence: request.GetSequence(), Result: result})
}

func (t *tx) dropResult(session string, sequence uint64) {
	row := find[*statev1.Remembered](t, tableResults, indexID, resultKey(session, sequence))
	if row != nil {
		t.drop(tableResults, row)
	}
}

// operate executes the operation of a command. DecodeBatch has verified that
// the operation is known.
func (t *tx) operate(c *statev1.Command) *statev1.Result {
	t.meta.Clock = max(t.meta.GetClock(), c.GetTime())
	if !hasOperands(c) {
		return refuse(statev1.Refusal_CODE_INVALID, "", "")
	}
	var result *statev1.Result
	switch op := c.GetOperation().(type) {
	case *statev1.Command_FormCluster:
		result = t.formCluster(op.FormCluster)
	case *statev1.Command_OpenSession:
		result = t.openSession(op.OpenSession)
	case *statev1.Command_ExpireSessions:
		result = t.expireSessions(op.ExpireSessions)
	case *statev1.Command_RegisterWorker:
		result = t.registerWorker(op.RegisterWorker)
	case *statev1.Command_RemoveWorker:
		result = t.removeWorker(op.RemoveWorker)
	case *statev1.Command_PutMount:
		result = t.putMount(op.PutMount)
	case *statev1.Command_RemoveMount:
		result = t.removeMount(op.RemoveMount)
	case *statev1.Command_Invalidate:
		result = t.invalidate(op.Invalidate)
	case *statev1.Command_RenewSession:
		result = t.renewSession(op.RenewSession)
	}
	result.Index = t.index
	return result
}

// hasOperands reports whether a command has the values that become keys.
// Servers reject commands without them; here the check ensures that a snapshot
// can hold every row.
func hasOperands(c *statev1.Command) bool {
	switch op := c.GetOperation().(type) {
	case *statev1.Command_FormCluster:
		return op.FormCluster.GetClusterId() != ""
	case *statev1.Command_OpenSession:
		return op.OpenSession.GetSession() != ""
	case *statev1.Command_RegisterWorker:
		return op.RegisterWorker.GetMember().GetId() != "" && op.RegisterWorker.GetMember().GetName() != ""
	case *statev1.Command_PutMount:
		return op.PutMount.GetMount().GetPath() != ""
	}
	return true
}
