package server

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	"github.com/jindo-io/jindo/pkg/mtls"
)

// Quotas of one owner, which is the role and name of a certificate. What an owner
// may have in the state is decided by the state: see sessionQuota.
const (
	// maxQueued is how many commands of one owner may wait or be executed at the
	// same time: the queue has room for the commands of others.
	maxQueued = queueLength / 8
	// workerRate and workerBurst bound the commands of one worker. It needs one to
	// open a session and one to register, rarely more than once an hour.
	workerRate  = rate.Limit(10)
	workerBurst = 100
	// maxOwners is how many owners are tracked. Those that send nothing are
	// dropped.
	maxOwners = 16384
	// ownerKept is how long an owner without a command is tracked. A bucket of
	// workerBurst is full again by then.
	ownerKept = time.Minute
)

// quotas bounds the commands of each owner. It is safe for concurrent use.
type quotas struct {
	now func() time.Time

	mu     sync.Mutex
	owners map[string]*usage
	swept  time.Time
}

// usage is what one owner uses.
type usage struct {
	queued int
	// rate is nil for roles without a rate.
	rate *rate.Limiter
	last time.Time
}

func newQuotas() *quotas { return &quotas{now: time.Now, owners: map[string]*usage{}} }

// enter begins a command of a peer. It returns an error if the peer has too many
// commands in progress, or has sent too many. The caller must call leave when
// the command has ended.
func (q *quotas) enter(peer mtls.Peer) (leave func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.sweep(now)
	owner := peer.String()
	u := q.owners[owner]
	if u == nil {
		if len(q.owners) >= maxOwners {
			return nil, tooMany("%d callers have commands in progress", len(q.owners))
		}
		u = &usage{}
		if peer.Role == mtls.Worker {
			u.rate = rate.NewLimiter(workerRate, workerBurst)
		}
		q.owners[owner] = u
	}
	u.last = now
	switch {
	case u.queued >= maxQueued:
		return nil, tooMany("%s has %d commands in progress", peer, u.queued)
	case u.rate != nil && !u.rate.AllowN(now, 1):
		return nil, tooMany("%s sends more than %v commands a second", peer, workerRate)
	}
	u.queued++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		u.queued--
	}, nil
}

// sweep drops owners without commands, once every ownerKept.
func (q *quotas) sweep(now time.Time) {
	if now.Sub(q.swept) < ownerKept {
		return
	}
	q.swept = now
	for owner, u := range q.owners {
		if u.queued == 0 && now.Sub(u.last) >= ownerKept {
			delete(q.owners, owner)
		}
	}
}

// tooMany returns the error of a command that was not executed because of a
// quota. Clients send it again later.
func tooMany(format string, args ...any) error {
	return withDetail(codes.ResourceExhausted, fmt.Sprintf(format, args...)+": send it again later",
		&errdetails.ErrorInfo{Reason: "NOT_EXECUTED", Domain: errorDomain})
}

// sessionQuota returns how many open sessions an owner of a role may have, and how
// many are kept, including the ended ones. A client has one session; one that was
// restarted leaves its last one until that expires. All clients of an admin
// certificate are one owner.
func sessionQuota(role mtls.Role) (open, kept uint32) {
	if role == mtls.Worker {
		return 32, 64
	}
	return 512, 2048
}
