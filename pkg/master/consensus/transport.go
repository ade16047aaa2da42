package consensus

import (
	"io"
	"time"

	"github.com/hashicorp/raft"
)

// transport is the library's transport. In addition it records in acks what the
// response to each request to a peer proved. It sees only requests that are
// sent one at a time: pipelining is off.
type transport struct {
	raft.Transport
	acks    *ackTracker
	network *raft.NetworkTransport
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

func newTransport(c *Config, s *stream, acks *ackTracker) *transport {
	network := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  s,
		MaxPool: transportPool,
		// With two in flight, one rejected append blocks a follower forever
		// while its heartbeats continue.
		MaxRPCsInFlight:         1,
		Timeout:                 transportTimeout,
		MsgpackUseNewTimeFormat: true,
		Logger:                  newRaftLogger(c.Logger),
	})
	t := &transport{Transport: network, acks: acks, network: network}
	if c.hooks.transport != nil {
		t.Transport = c.hooks.transport(network)
	}
	return t
}

// AppendEntries sends entries, or a heartbeat. The stamp is taken before the
// request is sent, so that a response proves something about the time after it.
func (t *transport) AppendEntries(id raft.ServerID, to raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	stamp := t.acks.stamp()
	sent := time.Now()
	if err := t.Transport.AppendEntries(id, to, request, response); err != nil {
		return err
	}
	if !response.Success || response.Term != request.Term {
		return nil
	}
	ack := ack{term: request.Term, stamp: stamp, sent: sent}
	if !heartbeat(request) {
		ack.match = request.PrevLogEntry + uint64(len(request.Entries))
	}
	t.acks.record(id, ack)
	return nil
}

// heartbeat reports whether a request is a heartbeat of the library, which
// carries no log position, and not one that replicates.
func heartbeat(r *raft.AppendEntriesRequest) bool {
	return r.PrevLogEntry == 0 && r.PrevLogTerm == 0 && len(r.Entries) == 0 && r.LeaderCommitIndex == 0
}

// InstallSnapshot sends a snapshot, and records the response.
func (t *transport) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, request *raft.InstallSnapshotRequest, response *raft.InstallSnapshotResponse, data io.Reader) error {
	stamp := t.acks.stamp()
	sent := time.Now()
	if err := t.Transport.InstallSnapshot(id, to, request, response, data); err != nil {
		return err
	}
	if response.Success && response.Term == request.Term {
		t.acks.record(id, ack{term: request.Term, stamp: stamp, sent: sent, match: request.LastLogIndex})
	}
	return nil
}

// RequestPreVote implements raft.WithPreVote.
func (t *transport) RequestPreVote(id raft.ServerID, to raft.ServerAddress, request *raft.RequestPreVoteRequest, response *raft.RequestPreVoteResponse) error {
	return t.Transport.(raft.WithPreVote).RequestPreVote(id, to, request, response)
}

// Close closes the transport with all its connections.
func (t *transport) Close() error {
	err := t.network.Close()
	t.network.CloseStreams()
	return err
}
