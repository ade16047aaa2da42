package runtime

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jindo-io/jindo/pkg/kube/authority"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/topology"
)

// connections are the connections to the masters of every runtime, kept between
// passes. It is safe for concurrent use.
type connections struct {
	dial Dialer
	now  func() time.Time
	mu   sync.Mutex
	all  map[types.UID]connection
}

type connection struct {
	masters Masters
	// misses is the number of consecutive passes that found no leader.
	misses int
	// key identifies the topology and the authority of the connection.
	key       string
	createdAt time.Time
}

func newConnections(dial Dialer, now func() time.Time) *connections {
	return &connections{dial: dial, now: now, all: map[types.UID]connection{}}
}

func (c *connections) get(uid types.UID, members topology.Topology, ca *mtls.Authority) (Masters, error) {
	// Changes of workers do not affect the connections to masters.
	members.Workers = nil
	raw, err := members.Marshal()
	if err != nil {
		return nil, err
	}
	key := string(raw) + string(ca.CertPEM())
	c.mu.Lock()
	defer c.mu.Unlock()
	existing, ok := c.all[uid]
	if ok && existing.key == key && c.now().Sub(existing.createdAt) < identityRenewInterval {
		return existing.masters, nil
	}
	identity, err := authority.Identity(ca, "jindoruntime-controller")
	if err != nil {
		return nil, err
	}
	masters, err := c.dial(members, identity)
	if err != nil {
		return nil, err
	}
	if ok {
		existing.masters.Close()
	}
	c.all[uid] = connection{masters: masters, key: key, createdAt: c.now()}
	return masters, nil
}

// recordLeader records whether a pass found a leader, and returns the number of
// consecutive passes that found none.
func (c *connections) recordLeader(uid types.UID, leads bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	existing, ok := c.all[uid]
	if !ok {
		return 0
	}
	existing.misses++
	if leads {
		existing.misses = 0
	}
	c.all[uid] = existing
	return existing.misses
}

func (c *connections) forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if existing, ok := c.all[uid]; ok {
		existing.masters.Close()
		delete(c.all, uid)
	}
}
