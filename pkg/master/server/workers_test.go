package server

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/master/snapshot"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// savingWorker is the service of a worker.
type savingWorker struct {
	workerv1.UnimplementedSnapshotsServer
	store func(grpc.ClientStreamingServer[workerv1.StoreSnapshotRequest, workerv1.StoreSnapshotResponse]) error
}

func (w *savingWorker) StoreSnapshot(stream grpc.ClientStreamingServer[workerv1.StoreSnapshotRequest, workerv1.StoreSnapshotResponse]) error {
	return w.store(stream)
}

func (w *savingWorker) LatestSnapshot(_ context.Context, r *workerv1.LatestSnapshotRequest) (*workerv1.LatestSnapshotResponse, error) {
	return &workerv1.LatestSnapshotResponse{Latest: &workerv1.StoredSnapshot{Key: r.GetTarget().GetPrefix()}}, nil
}

// received reads a file from the parts of a call.
type received struct {
	stream grpc.ClientStreamingServer[workerv1.StoreSnapshotRequest, workerv1.StoreSnapshotResponse]
	rest   []byte
}

func (r *received) Read(to []byte) (int, error) {
	for len(r.rest) == 0 {
		part, err := r.stream.Recv()
		if err != nil {
			return 0, err
		}
		r.rest = part.GetData()
	}
	n := copy(to, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// A worker receives the target, then a whole snapshot of a leader, of which the master has
// the SHA-256. The reason of a refusal, also in the middle of a transfer, and the end of the
// deadline reach the schedule.
func TestSnapshotsAreSentToWorkers(t *testing.T) {
	s := newTestbed(t, 1)
	worker := &savingWorker{}
	server := grpc.NewServer(s.Issue(workerPeer).ServerOptions(mtls.Rights{
		workerv1.Snapshots_LatestSnapshot_FullMethodName: {mtls.Master}, workerv1.Snapshots_StoreSnapshot_FullMethodName: {mtls.Master},
	})...)
	workerv1.RegisterSnapshotsServer(server, worker)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	member := &commonv1.RingMember{Name: workerPeer.Name, Host: "127.0.0.1", Port: uint32(listener.Addr().(*net.TCPAddr).Port)}
	target := &workerv1.SnapshotTarget{ClusterId: s.Topology.ClusterID, Mount: "data", Prefix: "backup"}
	client := workers{s.servers[0]}

	if latest, err := client.latest(t.Context(), member, target); err != nil || latest.GetKey() != "backup" {
		t.Errorf("the newest is %v, %v", latest, err)
	}
	sums := make(chan string, 1)
	worker.store = func(stream grpc.ClientStreamingServer[workerv1.StoreSnapshotRequest, workerv1.StoreSnapshotResponse]) error {
		first, err := stream.Recv()
		if err != nil || first.GetTarget().GetMount() != "data" || first.GetTarget().GetClusterId() != s.Topology.ClusterID {
			return status.Errorf(codes.InvalidArgument, "target %v, %v", first.GetTarget(), err)
		}
		content, err := snapshot.Read(&received{stream: stream})
		if err != nil || !content.Confirmed || content.ClusterID != s.Topology.ClusterID {
			return status.Errorf(codes.InvalidArgument, "%+v, %v", content, err)
		}
		sums <- content.Sum
		return stream.SendAndClose(&workerv1.StoreSnapshotResponse{Deleted: 7})
	}
	response, sum, err := client.store(t.Context(), member, target)
	if err != nil || response.GetDeleted() != 7 || sum != <-sums {
		t.Errorf("%v with SHA-256 %s, %v", response, sum, err)
	}
	worker.store = func(grpc.ClientStreamingServer[workerv1.StoreSnapshotRequest, workerv1.StoreSnapshotResponse]) error {
		return status.Error(codes.FailedPrecondition, "another prefix")
	}
	if _, _, err := client.store(t.Context(), member, target); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a refusal: %v", err)
	}
	worker.store = func(stream grpc.ClientStreamingServer[workerv1.StoreSnapshotRequest, workerv1.StoreSnapshotResponse]) error {
		_, _ = io.Copy(io.Discard, &received{stream: stream})
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := client.store(ctx, member, target); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a worker that does not respond: %v", err)
	}
}
