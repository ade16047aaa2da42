package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/master/snapshot"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/version"
)

const (
	// chunkBytes is the size of a part of a snapshot file.
	chunkBytes = 512 << 10
	// snapshotTimeout bounds the transfer of a snapshot file.
	snapshotTimeout = 2 * time.Minute
)

// SaveSnapshot implements masterv1.MemberServer.
func (s *Server) SaveSnapshot(r *masterv1.SaveSnapshotRequest, stream grpc.ServerStreamingServer[masterv1.SaveSnapshotResponse]) error {
	return within(stream.Context(), func(ctx context.Context) error {
		if !r.GetUnconfirmed() {
			if _, err := s.config.Consensus.ReadIndex(ctx); err != nil {
				return failure(err)
			}
		}
		w := bufio.NewWriterSize(chunks{stream}, chunkBytes)
		if err := errors.Join(s.writeState(w, !r.GetUnconfirmed()), w.Flush()); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		return nil
	})
}

// writeState writes the state of this master as a file of package snapshot. confirmed
// reports that a linearizable read has preceded it.
func (s *Server) writeState(w io.Writer, confirmed bool) error {
	of := s.config.State.Snapshot()
	defer of.Release()
	index, err := of.Index()
	if err != nil {
		return err
	}
	now := s.config.Consensus.Status()
	header := snapshot.Header{
		ClusterID: s.config.Topology.ClusterID, Index: index, Term: now.GetTerm(), Master: s.config.Name,
		Confirmed: confirmed, Time: s.config.Now().UTC().Truncate(time.Second), Program: version.String(),
	}
	for _, p := range now.GetPeers() {
		header.Members = append(header.Members, snapshot.Member{ID: p.GetMemberId(), Address: p.GetAddress(), Voter: p.GetVoter()})
	}
	return snapshot.Write(w, header, of)
}

// within calls a function and returns its error, or another one after snapshotTimeout. The
// end of the call then ends the function, which waits for the stream only.
func within(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- call(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// chunks sends what is written to it.
type chunks struct {
	stream grpc.ServerStreamingServer[masterv1.SaveSnapshotResponse]
}

// Write implements io.Writer.
func (c chunks) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), chunkBytes)]
		if err := c.stream.Send(&masterv1.SaveSnapshotResponse{Data: piece}); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[len(piece):]
	}
	return len(p), nil
}

// RestoreSnapshot implements masterv1.MemberServer. The file is verified, and must be of
// this cluster or for it, before anything is changed.
func (s *Server) RestoreSnapshot(stream grpc.ClientStreamingServer[masterv1.RestoreSnapshotRequest, masterv1.RestoreSnapshotResponse]) error {
	if !s.restoring.TryLock() {
		return status.Error(codes.Unavailable, "another snapshot is being restored at this master")
	}
	received := make(chan *snapshot.Content, 1)
	err := within(stream.Context(), func(context.Context) error {
		defer s.restoring.Unlock()
		content, err := s.receive(stream)
		received <- content
		return err
	})
	if err != nil {
		return err
	}
	content := <-received
	s.config.Logger.Warn("a snapshot is to be restored", "index", content.Index, "cluster", content.ClusterID, "sha256", content.Sum, "peer", caller(stream.Context()).String())
	epoch, err := s.config.Consensus.Restore(stream.Context(), StateMachine(content.State), content.Index, s.reports.newestView())
	if err != nil {
		return memberFailure(err)
	}
	return stream.SendAndClose(&masterv1.RestoreSnapshotResponse{Index: content.Index, Epoch: epoch})
}

// receive reads and verifies the file that a client sends. Its state is that for this
// cluster.
func (s *Server) receive(stream grpc.ClientStreamingServer[masterv1.RestoreSnapshotRequest, masterv1.RestoreSnapshotResponse]) (*snapshot.Content, error) {
	from := &parts{stream: stream}
	content, err := snapshot.Read(from)
	if err == nil {
		err = checkState(content, s.config.Topology.ClusterID, from.newCluster)
	}
	if err == nil && from.newCluster {
		content.State, err = content.ForCluster(s.config.Topology.ClusterID)
	}
	if err != nil {
		return nil, invalid("%v", err)
	}
	return content, nil
}

// checkState returns an error for a file that is not restored in a cluster, and for a
// state that no commands could have led to.
func checkState(content *snapshot.Content, clusterID string, newCluster bool) error {
	if content.Redacted {
		return snapshot.ErrRedacted
	}
	if !newCluster && content.ClusterID != clusterID {
		return fmt.Errorf("the snapshot is of cluster %q, and this master of %q: a restoration into a new cluster must be requested with --into-new-cluster (jindo raft: -intoNewCluster)", content.ClusterID, clusterID)
	}
	cluster := content.State.View().Cluster()
	if n := len(cluster.GetMounts()); n > state.MaxMounts {
		return fmt.Errorf("the snapshot has %d mounts", n)
	}
	for _, m := range cluster.GetMounts() {
		wanted := &commonv1.Mount{
			Name: m.GetName(), Path: m.GetPath(), Uri: m.GetUri(), Options: m.GetOptions(), SecretRef: m.GetSecretRef(),
			ReadOnly: m.GetReadOnly(), MetaPolicy: m.GetMetaPolicy(),
		}
		if err := checkMount(wanted); err != nil {
			return fmt.Errorf("mount %q in the snapshot: %s", m.GetPath(), status.Convert(err).Message())
		}
	}
	return nil
}

// parts reads what a client sends.
type parts struct {
	stream grpc.ClientStreamingServer[masterv1.RestoreSnapshotRequest, masterv1.RestoreSnapshotResponse]
	rest   []byte
	// newCluster reports that the client requests a restoration into a new cluster.
	newCluster bool
}

var _ io.Reader = (*parts)(nil)

// Read implements io.Reader.
func (p *parts) Read(to []byte) (int, error) {
	for len(p.rest) == 0 {
		part, err := p.stream.Recv()
		if err != nil {
			return 0, err // io.EOF at the end
		}
		p.rest = part.GetData()
		p.newCluster = p.newCluster || part.GetIntoNewCluster()
	}
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
