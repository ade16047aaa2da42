package consensus

import (
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// maxAppendBytes bounds the entries of one request, in bytes. A single entry may
// be larger, up to MaxCommand.
const maxAppendBytes = 1 << 20

// transport is the library's transport. In addition it records in acks what the
// response to each request to a peer proved, bounds requests in bytes, and
// repeats requests that failed. It sees only requests that are sent one at a
// time: pipelining is off.
type transport struct {
	raft.Transport
	acks    *ackTracker
	network *raft.NetworkTransport
	// spares may be nil.
	spares    *spares
	reachable *reachability
	logger    *slog.Logger
	heartbeat time.Duration
	// remember records the last entry that a peer acknowledged.
	remember func(peer raft.ServerID, last position)
	// leads reports whether this member is the leader in a term and replicates
	// to a peer.
	leads func(peer raft.ServerID, term uint64) bool
	// stopped is closed when the node stops.
	stopped <-chan struct{}
	node    *Node
	// inbound holds the requests of peers that were not refused. appending is
	// set while the library processes one to append.
	inbound   chan raft.RPC
	appending atomic.Bool
	// yielding is nil unless leadership is or was transferred; see yield.
	yielding atomic.Pointer[yielding]
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

func newTransport(n *Node) *transport {
	c := &n.config
	network := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  pacedStream{n.stream},
		MaxPool: transportPool,
		// With two in flight, one rejected append blocks a follower forever
		// while its heartbeats continue.
		MaxRPCsInFlight:         1,
		Timeout:                 transportTimeout,
		MsgpackUseNewTimeFormat: true,
		Logger:                  newRaftLogger(c.Logger),
	})
	t := &transport{
		Transport: network, network: network, acks: n.acks, reachable: newReachability(),
		spares: &n.stream.spares, logger: c.Logger, heartbeat: c.Heartbeat, leads: n.leads, remember: n.memory.acked, stopped: n.stopped,
		node: n, inbound: make(chan raft.RPC),
	}
	if c.hooks.transport != nil {
		t.Transport = c.hooks.transport(network)
	}
	n.background.Go(t.receive)
	return t
}

// AppendEntries sends entries, or a heartbeat. The stamp is taken before the
// request is sent, so that a response proves something about the time after it.
func (t *transport) AppendEntries(id raft.ServerID, to raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	stamp := t.acks.stamp()
	sent := time.Now()
	if heartbeat(request) {
		err := t.Transport.AppendEntries(id, to, request, response)
		t.reachable.record(id, err)
		if err != nil {
			t.dropSpares(to)
			return err
		}
	} else {
		trim(request)
		if unsealed(request) {
			return errUnsealed
		}
		if err := t.replicate(id, to, request, response); err != nil {
			return err
		}
	}
	if !response.Success || response.Term != request.Term {
		return nil
	}
	ack := ack{term: request.Term, stamp: stamp, sent: sent}
	if !heartbeat(request) {
		ack.match = request.PrevLogEntry + uint64(len(request.Entries))
		t.remember(id, lastOf(request))
	}
	t.acks.record(id, ack)
	return nil
}

// dropSpares closes the spare connections to a peer that does not respond. If it
// died without closing them, they would delay requests to it once it is back.
func (t *transport) dropSpares(to raft.ServerAddress) {
	if t.spares != nil {
		t.spares.drop(func(address raft.ServerAddress) bool { return address == to })
	}
}

// errUnsealed ends a request with an entry that is not of the log.
var errUnsealed = errors.New("an entry of the request has no checksum")

// unsealed reports whether an entry of a request has no checksum; every entry of
// the log has one.
func unsealed(request *raft.AppendEntriesRequest) bool {
	return slices.ContainsFunc(request.Entries, func(l *raft.Log) bool { return len(l.Extensions) == 0 })
}

// trim bounds the entries of a request in bytes; one entry always remains. The
// library derives what a peer has from the entries that the request holds after
// the call, so that those that were dropped are in the next request.
func trim(request *raft.AppendEntriesRequest) {
	size := 0
	for i, entry := range request.Entries {
		size += len(entry.Data)
		if i > 0 && size > maxAppendBytes {
			request.Entries = request.Entries[:i]
			return
		}
	}
}

// lastOf returns the position up to which a peer that accepted a request has the
// leader's log.
func lastOf(request *raft.AppendEntriesRequest) position {
	if count := len(request.Entries); count > 0 {
		return position{Term: request.Entries[count-1].Term, Index: request.Entries[count-1].Index}
	}
	return position{Term: request.PrevLogTerm, Index: request.PrevLogEntry}
}

// heartbeat reports whether a request is a heartbeat of the library, which
// carries no log position, and not one that replicates.
func heartbeat(r *raft.AppendEntriesRequest) bool {
	return r.PrevLogEntry == 0 && r.PrevLogTerm == 0 && len(r.Entries) == 0 && r.LeaderCommitIndex == 0
}

// InstallSnapshot sends a snapshot once the peer is reachable, and records the
// response.
func (t *transport) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, request *raft.InstallSnapshotRequest, response *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := t.awaitReachable(id, request.Term); err != nil {
		return err
	}
	stamp := t.acks.stamp()
	sent := time.Now()
	err := t.Transport.InstallSnapshot(id, to, request, response, data)
	t.reachable.record(id, err)
	if err != nil {
		return err
	}
	if response.Success && response.Term == request.Term {
		t.remember(id, position{Term: request.LastLogTerm, Index: request.LastLogIndex})
		t.acks.record(id, ack{term: request.Term, stamp: stamp, sent: sent, match: request.LastLogIndex})
	}
	return nil
}

// Close closes the transport with all its connections.
func (t *transport) Close() error {
	err := t.network.Close()
	t.network.CloseStreams()
	return err
}
