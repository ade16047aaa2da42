package collect

import (
	"context"
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// member is a master with a fixed response.
type member struct {
	masterv1.UnimplementedMemberServer
	masterv1.UnimplementedCoordinationServer
	response *masterv1.StatusResponse
}

func (m *member) GetView(context.Context, *masterv1.GetViewRequest) (*masterv1.GetViewResponse, error) {
	return &masterv1.GetViewResponse{View: exampleView(1)}, nil
}

func (m *member) Status(context.Context, *masterv1.StatusRequest) (*masterv1.StatusResponse, error) {
	return m.response, nil
}

// cache is a worker with fixed responses.
type cache struct {
	workerv1.UnimplementedCacheServer
	report  *commonv1.WorkerReport
	view    *commonv1.ClusterView
	viewErr error
}

func (c *cache) Status(context.Context, *workerv1.StatusRequest) (*workerv1.StatusResponse, error) {
	return &workerv1.StatusResponse{Report: c.report}, nil
}

func (c *cache) GetView(context.Context, *workerv1.GetViewRequest) (*workerv1.GetViewResponse, error) {
	return &workerv1.GetViewResponse{View: c.view}, c.viewErr
}

// hanging accepts connections and sends nothing.
type hanging struct{ net.Listener }

// cluster runs masters and workers on this machine.
type cluster struct {
	t         *testing.T
	authority *mtls.Authority
	dir       string
	targets   Targets
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	authority, err := mtls.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, authority: authority, dir: t.TempDir()}
	c.targets = Targets{Topology: topology.Topology{Name: "hadoop"}, Identity: c.identity(mtls.Admin, "admin"), Timeout: 10 * time.Second}
	return c
}

func (c *cluster) identity(role mtls.Role, name string) *mtls.Identity {
	c.t.Helper()
	pair, err := c.authority.Issue(mtls.Peer{Role: role, Name: name}, nil, time.Hour)
	if err != nil {
		c.t.Fatal(err)
	}
	dir := filepath.Join(c.dir, name)
	if err := pair.Save(dir); err != nil {
		c.t.Fatal(err)
	}
	identity, err := mtls.LoadIdentity(dir)
	if err != nil {
		c.t.Fatal(err)
	}
	return identity
}

func (c *cluster) listen() net.Listener {
	c.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	return listener
}

func memberAt(name string, listener net.Listener) topology.Member {
	address := listener.Addr().(*net.TCPAddr)
	return topology.Member{Name: name, Host: address.IP.String(), Port: address.Port, RaftPort: 18006}
}

// serve starts a member of the given role. Without a function to register services
// the connection to the member is refused.
func (c *cluster) serve(role mtls.Role, name string, register func(*grpc.Server)) {
	c.t.Helper()
	listener := c.listen()
	m := memberAt(name, listener)
	if role == mtls.Master {
		c.targets.Topology.Masters = append(c.targets.Topology.Masters, m)
	} else {
		c.targets.Topology.Workers = append(c.targets.Topology.Workers, m)
	}
	if register == nil {
		_ = listener.Close()
		return
	}
	identity := c.identity(role, name)
	server := grpc.NewServer(identity.ServerOptions(mtls.Rights{
		masterv1.Member_Status_FullMethodName: {mtls.Admin}, workerv1.Cache_Status_FullMethodName: {mtls.Admin},
		workerv1.Cache_GetView_FullMethodName: {mtls.Admin}, masterv1.Coordination_GetView_FullMethodName: {mtls.Admin},
	})...)
	register(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	c.t.Cleanup(func() {
		server.Stop()
		<-done
	})
}

func (c *cluster) master(name string, response *masterv1.StatusResponse) {
	c.t.Helper()
	c.serve(mtls.Master, name, func(s *grpc.Server) {
		m := &member{response: response}
		masterv1.RegisterMemberServer(s, m)
		masterv1.RegisterCoordinationServer(s, m)
	})
}

func (c *cluster) worker(name string, worker *cache) {
	c.t.Helper()
	c.serve(mtls.Worker, name, func(s *grpc.Server) { workerv1.RegisterCacheServer(s, worker) })
}

func exampleView(index uint64) *commonv1.ClusterView {
	return &commonv1.ClusterView{
		Index:  index,
		Mounts: []*commonv1.Mount{{Id: "2", Path: "/z", Uri: "s3://z/"}, {Id: "1", Name: "hadoop", Path: "/hadoop", Uri: "oss://b/", ReadOnly: true, Epoch: 4}},
		Ring:   &commonv1.Ring{Members: []*commonv1.RingMember{{Name: "w-0"}, {Name: "w-1"}}},
	}
}

func TestFill(t *testing.T) {
	c := newCluster(t)
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c.master("m-0", &masterv1.StatusResponse{
		Name: "m-0", MemberId: "id-0", State: "LEADER", Term: 3, Leader: "m-0", CommitIndex: 9, AppliedIndex: 8, LastLogIndex: 10,
		Voter: true, Ready: true, Started: timestamppb.New(started), Version: "v1", LastContact: durationpb.New(time.Second),
		FsyncP99: durationpb.New(2 * time.Millisecond), Peers: []*masterv1.Peer{{Name: "m-0", Voter: true}, {Name: "m-1"}},
		Digests: []*masterv1.Digest{{Index: 8, Digest: "d"}},
	})
	c.master("m-1", &masterv1.StatusResponse{Name: "m-1", State: "FOLLOWER", LastContact: durationpb.New(time.Second)})
	c.serve(mtls.Master, "m-2", nil)
	c.worker("w-0", &cache{
		view: exampleView(7),
		report: &commonv1.WorkerReport{
			HitBytes: 3, MissBytes: 1, StoreBytes: 1,
			Recent: &commonv1.RecentReads{Window: durationpb.New(5 * time.Minute), HitBytes: 8}, RingEpoch: 2, Started: timestamppb.New(started),
			Tiers:  []*commonv1.TierReport{{Medium: "HDD", Capacity: 100, Used: 40, Files: 2, SealedFiles: 1}},
			Mounts: []*commonv1.MountHealth{{MountId: "1", Objects: -1, Bytes: -1, Error: "403"}},
		},
	})
	c.worker("w-1", &cache{
		view:   &commonv1.ClusterView{Index: 6},
		report: &commonv1.WorkerReport{Mounts: []*commonv1.MountHealth{{MountId: "1", Objects: 5, Bytes: 50}}},
	})
	c.worker("w-2", &cache{report: &commonv1.WorkerReport{}, viewErr: status.Error(codes.Unavailable, "no view yet")})
	c.serve(mtls.Worker, "w-3", nil)

	r := report.New(report.Ref{Name: "hadoop"}, started)
	Fill(t.Context(), r, c.targets)

	if m := r.Masters[0]; m.State != "LEADER" || m.Term != 3 || m.CommitIndex != 9 || !m.Voter || m.ContactSeconds != nil ||
		*m.FsyncP99Seconds != 0.002 || len(m.Peers) != 2 || m.Digests[0].Digest != "d" || !m.Started.Time.Equal(started) || m.RTTSeconds == nil {
		t.Errorf("the leader is %+v", m)
	}
	if m := r.Masters[1]; m.State != "FOLLOWER" || *m.ContactSeconds != 1 || m.Started != nil || m.FsyncP99Seconds != nil {
		t.Errorf("the follower is %+v", m)
	}
	if m := r.Masters[2]; m.State != "UNREACHABLE" || !strings.Contains(m.Error, "connection refused") {
		t.Errorf("the dead master is %+v", m)
	}
	if w := r.Workers[0]; !w.Live || !w.Registered || w.Tiers[0].Used != 40 {
		t.Errorf("the first worker is %+v", w)
	}
	if r.Masters[0].Group != nil || r.Masters[0].Peers[1].Stable != nil || r.Masters[0].Peers[1].Behind != nil || r.Masters[0].Verification != nil {
		t.Errorf("the leader reports no health, and has %+v", r.Masters[0])
	}
	// A worker without a view responds as well.
	if w := r.Workers[2]; !w.Live || w.Registered || w.Error != "" {
		t.Errorf("the worker without a view is %+v", w)
	}
	if w := r.Workers[3]; w.Live || !strings.Contains(w.Error, "connection refused") {
		t.Errorf("the dead worker is %+v", w)
	}
	if len(r.Mounts) != 2 || r.Mounts[0].Path != "/hadoop" || r.Mounts[0].Error != "403" || *r.Mounts[0].Objects != 5 || *r.Mounts[0].Bytes != 50 || r.Mounts[1].Objects != nil {
		t.Errorf("the mounts are %+v, want those of the newest view with the figures of all workers", r.Mounts)
	}
	if len(r.Failures) != 2 || r.Failures[0].Target != "m-2" || r.Failures[1].Target != "w-3" || r.Targets != 7 {
		t.Errorf("%d targets, failures %+v", r.Targets, r.Failures)
	}
	if c := r.Cache; c.RecentSeconds != 300 || c.RecentHitBytes != 8 || c.RecentHitRatio == nil || *c.RecentHitRatio != 1 {
		t.Errorf("recent reads %+v", c)
	}
	if r.Version != "v1" || r.Cache.Used != 40 || *r.Cache.HitRatio != 0.75 {
		t.Errorf("version %q, cache %+v", r.Version, r.Cache)
	}
}

// TestMountsComeFromTheLeaderWithoutAWorkersView: a follower is not queried.
func TestMountsComeFromTheLeaderWithoutAWorkersView(t *testing.T) {
	for state, want := range map[string]int{"LEADER": 2, "FOLLOWER": 0} {
		c := newCluster(t)
		c.master("m-0", &masterv1.StatusResponse{State: state, Term: 1})
		c.serve(mtls.Worker, "w-0", nil)
		r := report.New(report.Ref{Name: "hadoop"}, time.Unix(0, 0))
		Fill(t.Context(), r, c.targets)
		if len(r.Mounts) != want {
			t.Errorf("%s: mounts %+v, want %d", state, r.Mounts, want)
		}
	}
}

// TestSilentMemberDelaysNoOther: the responses of the others are present.
func TestSilentMemberDelaysNoOther(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.targets.Timeout = 5 * time.Second // in which the others respond on a busy machine
	silent := hanging{c.listen()}
	defer func() { _ = silent.Close() }()
	c.targets.Topology.Masters = append(c.targets.Topology.Masters, memberAt("m-0", silent))
	c.master("m-1", &masterv1.StatusResponse{State: "LEADER"})
	masters := Masters(t.Context(), c.targets)
	if masters[0].Error != "timeout" || masters[1].State != "LEADER" {
		t.Errorf("got %+v", masters)
	}
}

func TestMemberWithAnotherNameIsRefused(t *testing.T) {
	c := newCluster(t)
	c.master("m-0", &masterv1.StatusResponse{State: "LEADER"})
	c.targets.Topology.Masters[0].Name = "m-1"
	if m := Masters(t.Context(), c.targets)[0]; m.Error == "" {
		t.Errorf("got %+v", m)
	}
}

func TestView(t *testing.T) {
	c := newCluster(t)
	c.serve(mtls.Worker, "w-0", nil)
	if _, err := View(t.Context(), c.targets); err == nil || !strings.Contains(err.Error(), "w-0: ") {
		t.Errorf("error %v does not name the member", err)
	}
	c.worker("w-1", &cache{view: exampleView(3), report: &commonv1.WorkerReport{}})
	view, err := View(t.Context(), c.targets)
	if err != nil || view.GetIndex() != 3 {
		t.Errorf("got %v, error %v", view, err)
	}
}

func TestReason(t *testing.T) {
	for want, err := range map[string]error{
		"timeout":                     context.DeadlineExceeded,
		"broken":                      errors.New("broken"),
		"no right":                    status.Error(codes.PermissionDenied, "no right"),
		"dial tcp 1.2.3.4:5: refused": status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp 1.2.3.4:5: refused"`),
		"refused":                     &url.Error{Op: "Get", URL: "http://x", Err: errors.New("refused")},
		"connection refused": status.Error(codes.Unavailable, `connection error: desc = "transport: authentication handshake failed: `+
			`dial tcp4 127.0.0.1:18004: connect: connection refused IPv6 dial tcp6 [::1]:18004: connect: connection refused"`),
		"tls: bad certificate":      status.Error(codes.Unavailable, `connection error: desc = "transport: authentication handshake failed: tls: bad certificate"`),
		"connection closed":         status.Error(codes.Unavailable, `connection error: desc = "transport: authentication handshake failed: EOF"`),
		"store: connection refused": status.Error(codes.Internal, "store: connection refused"),
		"no such host":              &url.Error{Op: "Get", URL: "http://x", Err: errors.New("dial tcp: lookup x: no such host")},
	} {
		if got := Reason(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
	for _, err := range []error{
		status.Error(codes.DeadlineExceeded, "context deadline exceeded"),
		status.Error(codes.Unavailable, `connection error: desc = "transport: authentication handshake failed: context deadline exceeded"`),
	} {
		if got := Reason(err); got != "timeout" {
			t.Errorf("%v: got %q", err, got)
		}
	}
}
