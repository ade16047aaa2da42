package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jindo-io/jindo/pkg/master/archive"
	"github.com/jindo-io/jindo/pkg/master/snapshot"
	"github.com/jindo-io/jindo/pkg/rpc/message"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

const (
	// snapshotTimeout bounds the transfer of a snapshot, and then that to the store.
	snapshotTimeout = 2 * time.Minute
	// latestTimeout bounds a listing of snapshots.
	latestTimeout = 30 * time.Second
)

// snapshots implements workerv1.SnapshotsServer for the leader of the masters.
//
// Invariant: what it writes and deletes is below the prefix, in the mount and the store,
// and of the cluster that this worker's own topology and disk have. Masters choose none of
// them, so that one with a wrong view cannot write elsewhere.
type snapshots struct {
	workerv1.UnimplementedSnapshotsServer
	worker *Worker
	// storing holds a token while a snapshot is received and stored.
	storing chan struct{}
}

var _ workerv1.SnapshotsServer = (*snapshots)(nil)

func newSnapshots(w *Worker) *snapshots {
	return &snapshots{worker: w, storing: make(chan struct{}, 1)}
}

// LatestSnapshot implements workerv1.SnapshotsServer.
func (s *snapshots) LatestSnapshot(ctx context.Context, r *workerv1.LatestSnapshotRequest) (*workerv1.LatestSnapshotResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, latestTimeout)
	defer cancel()
	to, _, err := s.archive(ctx, r.GetTarget())
	if err != nil {
		return nil, err
	}
	latest, err := to.Latest(ctx, time.Now())
	if err != nil {
		return nil, storeFailure(ctx, err)
	}
	response := &workerv1.LatestSnapshotResponse{}
	if latest != nil {
		response.Latest = stored(*latest)
	}
	return response, nil
}

// StoreSnapshot implements workerv1.SnapshotsServer. The file is verified before the store
// is written to.
func (s *snapshots) StoreSnapshot(stream grpc.ClientStreamingServer[workerv1.StoreSnapshotRequest, workerv1.StoreSnapshotResponse]) error {
	select {
	case s.storing <- struct{}{}:
		defer func() { <-s.storing }()
	default:
		return status.Error(codes.ResourceExhausted, "another snapshot is being stored by this worker")
	}
	ctx, cancel := context.WithTimeout(stream.Context(), snapshotTimeout)
	defer cancel()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	to, schedule, err := s.archive(ctx, first.GetTarget())
	if err != nil {
		return err
	}
	header, file, err := s.receive(&snapshotParts{stream: stream, rest: first.GetData()}, to.ClusterID)
	if err != nil {
		return err
	}
	defer file.Close()
	response, err := store(ctx, to, header, file, schedule.Keep)
	if err != nil {
		return err
	}
	s.worker.config.Logger.Info("a snapshot of the masters' state was stored", "mount", schedule.Mount, "key", response.GetStored().GetKey(), "bytes", response.GetStored().GetSize(), "deleted", response.GetDeleted())
	return stream.SendAndClose(response)
}

// archive returns where snapshots are stored, and the schedule of this worker, if they are
// those that a master requires.
func (s *snapshots) archive(ctx context.Context, target *workerv1.SnapshotTarget) (*archive.Archive, *topology.SnapshotSchedule, error) {
	var schedule *topology.SnapshotSchedule
	if s.worker.config.Snapshots != nil {
		schedule = s.worker.config.Snapshots()
	}
	_, cluster := s.worker.views.id()
	switch {
	case schedule == nil:
		return nil, nil, status.Error(codes.FailedPrecondition, "the topology of this worker has no schedule of snapshots")
	case target.GetClusterId() != cluster || cluster == "":
		return nil, nil, refuseTarget("cluster", target.GetClusterId(), cluster)
	case target.GetMount() != schedule.Mount:
		return nil, nil, refuseTarget("mount", target.GetMount(), schedule.Mount)
	case target.GetPrefix() != schedule.Prefix:
		return nil, nil, refuseTarget("prefix", target.GetPrefix(), schedule.Prefix)
	}
	entry := s.mounted(schedule)
	if entry == nil {
		return nil, nil, status.Error(codes.FailedPrecondition, message.Text(fmt.Sprintf("this worker has no mount %s of %s that is not read-only yet", schedule.Mount, schedule.URI)))
	}
	opened, err := entry.use(ctx)
	if err != nil {
		return nil, nil, storeFailure(ctx, err)
	}
	return &archive.Archive{Store: opened, Prefix: schedule.Prefix, ClusterID: cluster}, schedule, nil
}

func refuseTarget(what, required, has string) error {
	return status.Error(codes.FailedPrecondition, message.Text(fmt.Sprintf("the master requires snapshots with %s %q, and the topology of this worker has %q", what, required, has)))
}

// mounted returns the mount of a schedule; nil if the view has none with its store that
// may be written to.
func (s *snapshots) mounted(schedule *topology.SnapshotSchedule) *mounted {
	v := s.worker.views.load()
	if v == nil {
		return nil
	}
	for id, m := range v.mounts {
		if m.GetName() == schedule.Mount && m.GetUri() == schedule.URI && !m.GetReadOnly() {
			return s.worker.mounts.get(id)
		}
	}
	return nil
}

// receive returns the file that a master sends, verified, and on disk without a name.
func (s *snapshots) receive(from io.Reader, cluster string) (snapshot.Header, *os.File, error) {
	file, err := os.CreateTemp(s.worker.config.DataDir, "snapshot-*")
	if err == nil {
		err = os.Remove(file.Name())
	}
	if err != nil {
		return snapshot.Header{}, nil, status.Error(codes.Internal, message.Text("receive a snapshot: "+err.Error()))
	}
	content, err := snapshot.Read(io.TeeReader(from, file))
	switch {
	case err != nil:
	case content.ClusterID != cluster:
		err = fmt.Errorf("the snapshot is of cluster %q, and this worker of %q", content.ClusterID, cluster)
	case content.Redacted || !content.Confirmed:
		err = errors.New("the snapshot is redacted, or its master did not lead")
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
		return snapshot.Header{}, nil, status.Error(codes.InvalidArgument, message.Text(err.Error()))
	}
	return content.Header, file, nil
}

// store stores a verified file and deletes old ones. If only the deletion fails, the
// response has the reason.
func store(ctx context.Context, to *archive.Archive, header snapshot.Header, file *os.File, keep int) (*workerv1.StoreSnapshotResponse, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, status.Error(codes.Internal, message.Text(err.Error()))
	}
	saved, err := to.Save(ctx, header, file, info.Size())
	if err != nil {
		return nil, storeFailure(ctx, err)
	}
	response := &workerv1.StoreSnapshotResponse{Stored: stored(saved)}
	deleted, err := to.Retain(ctx, saved, keep)
	if response.Deleted = uint32(deleted); err != nil {
		response.Retention = message.Text(err.Error())
	}
	return response, nil
}

func stored(o archive.Object) *workerv1.StoredSnapshot {
	return &workerv1.StoredSnapshot{Key: path.Clean(o.Key), Index: o.Index, Time: timestamppb.New(o.Time), Size: o.Size}
}

// storeFailure converts an error of the store, which says nothing about reads of the
// mount: credentials may allow those only.
func storeFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Error(codes.Aborted, message.Text(err.Error()))
}

// snapshotParts reads what a master sends.
type snapshotParts struct {
	stream grpc.ClientStreamingServer[workerv1.StoreSnapshotRequest, workerv1.StoreSnapshotResponse]
	rest   []byte
}

var _ io.Reader = (*snapshotParts)(nil)

// Read implements io.Reader.
func (p *snapshotParts) Read(to []byte) (int, error) {
	for len(p.rest) == 0 {
		part, err := p.stream.Recv()
		if err != nil {
			return 0, err // io.EOF at the end
		}
		p.rest = part.GetData()
	}
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
