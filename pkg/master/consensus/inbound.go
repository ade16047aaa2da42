package consensus

import (
	"time"

	"github.com/hashicorp/raft"
)

// Consumer implements raft.Transport. It returns the requests of peers that the
// library may process.
func (t *transport) Consumer() <-chan raft.RPC { return t.inbound }

// SetHeartbeatHandler implements raft.Transport. The handler receives
// heartbeats past Consumer.
func (t *transport) SetHeartbeatHandler(handle func(raft.RPC)) {
	t.Transport.SetHeartbeatHandler(func(rpc raft.RPC) {
		if response := t.deposed(rpc.Command); response != nil {
			rpc.Respond(response, nil)
			return
		}
		handle(rpc)
	})
}

// receive passes the requests of peers to the library, one at a time, as the
// library processes them, and refuses those that this member must not serve.
func (t *transport) receive() {
	from := t.Transport.Consumer()
	for {
		select {
		case rpc := <-from:
			if response, err := t.refuse(rpc.Command); response != nil {
				rpc.Respond(response, err)
			} else if !t.forward(rpc) {
				return
			}
		case <-t.stopped:
			return
		}
	}
}

// deposed returns the response to a leader of an earlier term than peers of this
// member have reached, which this member may have forgotten: the term, as a
// member that remembers it would. It returns nil for other requests.
func (t *transport) deposed(request any) *raft.AppendEntriesResponse {
	r, ok := request.(*raft.AppendEntriesRequest)
	if !ok {
		return nil
	}
	floor := t.node.proof.reached()
	if r.Term >= floor {
		return nil
	}
	return &raft.AppendEntriesResponse{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}, Term: floor}
}

// refuse returns the response to a request that the library must not process,
// and its error; nil for other requests.
func (t *transport) refuse(request any) (any, error) {
	n := t.node
	switch request := request.(type) {
	case *raft.RequestVoteRequest:
		if !n.proof.mayVote(request.Term) {
			return &raft.RequestVoteResponse{}, errUnproved
		}
	case *raft.RequestPreVoteRequest:
		if !n.proof.mayVote(request.Term) {
			return &raft.RequestPreVoteResponse{}, errUnproved
		}
	case *raft.TimeoutNowRequest:
		if err := n.mayCampaign(); err != nil {
			return &raft.TimeoutNowResponse{}, err
		}
	case *raft.AppendEntriesRequest:
		if response := t.deposed(request); response != nil {
			return response, nil
		}
	}
	return nil, nil
}

// forward passes one request to the library, and its response back. It returns
// false when the node stops.
func (t *transport) forward(rpc raft.RPC) bool {
	_, appends := rpc.Command.(*raft.AppendEntriesRequest)
	t.appending.Store(appends)
	defer t.appending.Store(false)
	responses := make(chan raft.RPCResponse, 1)
	select {
	case t.inbound <- raft.RPC{Command: rpc.Command, Reader: rpc.Reader, RespChan: responses}:
	case <-t.stopped:
		return false
	}
	select {
	case response := <-responses:
		t.observe(rpc.Command, response)
		rpc.RespChan <- response
		return true
	case <-t.stopped:
		return false
	}
}

// anchor returns the term of the last entry of the newest snapshot, while a
// request to append is processed. The library compares the entry before the new
// ones with the log only: a follower whose log begins after its snapshot would
// reject a request that is repeated because the response was lost, and be sent
// the snapshot again, until the leader has a newer one.
//
// The entry has no data and no checksum, and is never sent; see errUnsealed.
func (n *Node) anchor(index uint64) (uint64, bool) {
	meta := n.snapshots.meta()
	if !n.transport.appending.Load() || meta.Index == 0 || meta.Index != index {
		return 0, false
	}
	return meta.Term, true
}

// observe records what a request of the leader, once accepted, says about this
// member's progress.
func (t *transport) observe(request any, response raft.RPCResponse) {
	sent, ok := request.(*raft.AppendEntriesRequest)
	if !ok {
		return
	}
	if r, ok := response.Response.(*raft.AppendEntriesResponse); ok && response.Error == nil && r.Success {
		t.node.progress.accept(sent.LeaderCommitIndex, t.node.fsm.applied.get(), time.Now())
	}
}

// mayCampaign returns why this member must not be a candidate.
func (n *Node) mayCampaign() error {
	if passed, _ := n.proof.state(); !passed && !mutantVoteUnproved {
		return errUnproved
	}
	return n.fsm.haltedBy()
}

// RequestVote implements raft.Transport.
func (t *transport) RequestVote(id raft.ServerID, to raft.ServerAddress, request *raft.RequestVoteRequest, response *raft.RequestVoteResponse) error {
	if err := t.node.mayCampaign(); err != nil {
		return err
	}
	// The pre-vote for such a term is sent, because the term grows only with
	// the election that follows it.
	if !t.node.proof.mayVote(request.Term) {
		return errUnproved
	}
	return t.Transport.RequestVote(id, to, request, response)
}

// RequestPreVote implements raft.WithPreVote.
func (t *transport) RequestPreVote(id raft.ServerID, to raft.ServerAddress, request *raft.RequestPreVoteRequest, response *raft.RequestPreVoteResponse) error {
	if err := t.node.mayCampaign(); err != nil {
		return err
	}
	if err := t.node.awaitTurn(request.Term); err != nil {
		return err
	}
	return t.Transport.(raft.WithPreVote).RequestPreVote(id, to, request, response)
}
