package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/netlimit"
	"github.com/jindo-io/jindo/pkg/topology"
)

// roster is the topology file, which may change while this master runs. It is safe
// for concurrent use.
type roster struct {
	path      string
	addresses *netlimit.Addresses
	logger    *slog.Logger
	first     topology.Topology

	mu     sync.Mutex
	latest topology.Topology
	// node is nil until the member is open.
	node *consensus.Node
}

func newRoster(path string, first topology.Topology, addresses *netlimit.Addresses, logger *slog.Logger) *roster {
	return &roster{path: path, first: first, latest: first, addresses: addresses, logger: logger}
}

// watch passes each change of the file on, until ctx is done.
func (r *roster) watch(ctx context.Context) {
	topology.Watch(ctx, r.path, r.first, topology.WatchInterval, r.set, func(err error) {
		r.logger.Warn("the topology stays as it is", "error", err)
	})
}

// newest returns the topology that was read last.
func (r *roster) newest() topology.Topology {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest
}

func (r *roster) set(next topology.Topology) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest = next
	r.addresses.Set(next.Hosts()...)
	r.apply()
}

// follow makes a member have the newest topology from now on.
func (r *roster) follow(node *consensus.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.node = node
	r.apply()
}

// apply sets the topology of the member. The caller holds the lock.
func (r *roster) apply() {
	if r.node == nil {
		return
	}
	if err := r.node.SetTopology(r.latest); err != nil {
		r.logger.Warn("the topology stays as it is", "error", err)
	}
}
