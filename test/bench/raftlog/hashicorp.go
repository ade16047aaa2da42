package raftlog

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// hashicorp is hashicorp/raft with the settings of raft.DefaultConfig.
type hashicorp struct {
	nodes  []*raft.Raft
	stores []*raftboltdb.BoltStore
	leader *raft.Raft
}

func openHashicorp(ctx context.Context, dir string) (Log, error) {
	h := &hashicorp{}
	if err := h.start(dir); err != nil {
		h.Close()
		return nil, err
	}
	err := until(ctx, func() bool {
		for _, node := range h.nodes {
			if node.State() == raft.Leader {
				h.leader = node
			}
		}
		return h.leader != nil
	})
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (h *hashicorp) start(dir string) error {
	var servers []raft.Server
	address := host()
	for i := range members {
		server := raft.Server{ID: raft.ServerID(fmt.Sprintf("m-%d", i))}
		node, at, err := h.member(server.ID, address, filepath.Join(dir, string(server.ID)))
		if err != nil {
			return err
		}
		server.Address = at
		servers = append(servers, server)
		h.nodes = append(h.nodes, node)
	}
	return h.nodes[0].BootstrapCluster(raft.Configuration{Servers: servers}).Error()
}

func (h *hashicorp) member(id raft.ServerID, address, dir string) (*raft.Raft, raft.ServerAddress, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	config := raft.DefaultConfig()
	config.LocalID, config.LogOutput = id, io.Discard
	store, err := raftboltdb.NewBoltStore(filepath.Join(dir, "raft.db"))
	if err != nil {
		return nil, "", err
	}
	h.stores = append(h.stores, store)
	snapshots, err := raft.NewFileSnapshotStore(dir, 2, io.Discard)
	if err != nil {
		return nil, "", err
	}
	const connections, timeout = 3, 10 * time.Second
	transport, err := raft.NewTCPTransport(net.JoinHostPort(address, "0"), nil, connections, timeout, io.Discard)
	if err != nil {
		return nil, "", err
	}
	node, err := raft.NewRaft(config, &hashicorpState{}, store, store, snapshots, transport)
	return node, transport.LocalAddr(), err
}

// Propose implements Log.
func (h *hashicorp) Propose(ctx context.Context, command []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.leader.Apply(command, formTimeout).Error()
}

// Close implements Log.
func (h *hashicorp) Close() {
	for _, node := range h.nodes {
		_ = node.Shutdown().Error() // the process ends
	}
	for _, store := range h.stores {
		_ = store.Close()
	}
}

// hashicorpState is a counter as raft.FSM.
type hashicorpState struct{ counter }

func (s *hashicorpState) Apply(*raft.Log) any { return s.n.Add(1) }

func (s *hashicorpState) Snapshot() (raft.FSMSnapshot, error) {
	frozen := &hashicorpSnapshot{}
	frozen.n.Store(s.n.Load())
	return frozen, nil
}

func (s *hashicorpState) Restore(r io.ReadCloser) error {
	defer r.Close()
	return s.readFrom(r)
}

type hashicorpSnapshot struct{ counter }

func (s *hashicorpSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := s.writeTo(sink); err != nil {
		_ = sink.Cancel()
		return err
	}
	return sink.Close()
}

func (*hashicorpSnapshot) Release() {}
