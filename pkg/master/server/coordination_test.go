package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

func report(m *commonv1.RingMember) *commonv1.WorkerReport {
	return &commonv1.WorkerReport{Id: m.GetId(), Name: m.GetName()}
}

func TestCommandsEndToEnd(t *testing.T) {
	s := newTestbed(t, 3)
	admin := s.coordination(0, adminPeer)
	open(t, admin, sessionID)
	mounted, err := admin.Mount(t.Context(), &masterv1.MountRequest{Request: id(1), Mount: dataMount()})
	if err != nil || !mounted.GetChanged() {
		t.Fatalf("mount: %v, %v", mounted, err)
	}
	again, err := admin.Mount(t.Context(), &masterv1.MountRequest{Request: id(2), Mount: dataMount()})
	if err != nil || again.GetChanged() || !proto.Equal(again.GetMount(), mounted.GetMount()) {
		t.Errorf("mount the same: %v, %v", again, err)
	}
	first, err := admin.Invalidate(t.Context(), &masterv1.InvalidateRequest{Request: id(3), Path: "/data"})
	if err != nil || first.GetEpoch() != 2 || first.GetIndex() == 0 {
		t.Errorf("invalidate: %v, %v", first, err)
	}
	repeated, err := admin.Invalidate(t.Context(), &masterv1.InvalidateRequest{Request: id(3), Path: "/data"})
	if err != nil || !proto.Equal(repeated, first) {
		t.Errorf("the first response was %v, and a repetition got %v, %v", first, repeated, err)
	}
	if lease, err := admin.KeepAlive(t.Context(), &masterv1.KeepAliveRequest{Session: sessionID}); err != nil || lease.GetTtl().AsDuration() != defaultTTL {
		t.Errorf("keep the session alive: %v, %v", lease, err)
	}
	member := s.registered(0)
	view, err := s.coordination(0, fusePeer).GetView(t.Context(), &masterv1.GetViewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got := view.GetView()
	if got.GetClusterId() != s.Topology.ClusterID || len(got.GetMounts()) != 1 || got.GetMounts()[0].GetEpoch() != 2 ||
		len(got.GetRing().GetMembers()) != 1 || !proto.Equal(got.GetRing().GetMembers()[0], member) {
		t.Errorf("the view is %v", got)
	}
	removed, err := admin.RemoveWorker(t.Context(), &masterv1.RemoveWorkerRequest{Request: id(4), Name: member.GetName()})
	if err != nil || removed.GetRingEpoch() != 2 {
		t.Errorf("remove the worker: %v, %v", removed, err)
	}
	if _, err := admin.Unmount(t.Context(), &masterv1.UnmountRequest{Request: id(5), Path: "/data"}); err != nil {
		t.Errorf("unmount: %v", err)
	}
	for i := range 3 {
		if a, b := s.log.Member(0).State.View().Digest(), s.log.Member(i).State.View().Digest(); a != b {
			t.Errorf("member %d has digest %s, not %s", i, b, a)
		}
	}
}

func TestFollowersRefuse(t *testing.T) {
	s := newTestbed(t, 3)
	follower := s.coordination(1, adminPeer)
	for name, run := range map[string]func() error{
		"a read": func() error {
			_, err := follower.GetView(t.Context(), &masterv1.GetViewRequest{})
			return err
		},
		"a command": func() error {
			_, err := follower.Unmount(t.Context(), &masterv1.UnmountRequest{Request: id(1), Path: "/data"})
			return err
		},
		"a lease": func() error {
			_, err := follower.KeepAlive(t.Context(), &masterv1.KeepAliveRequest{Session: sessionID})
			return err
		},
		"a transfer": func() error {
			_, err := masterv1.NewMemberClient(s.dial(1, adminPeer)).TransferLeadership(t.Context(), &masterv1.TransferLeadershipRequest{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			entries := len(s.log.Entries())
			response := status.Convert(run())
			if response.Code() != codes.FailedPrecondition || len(response.Details()) != 1 {
				t.Fatalf("got %v", response)
			}
			detail, ok := response.Details()[0].(*masterv1.NotLeader)
			if !ok || detail.GetLeader() != "m-0" || detail.GetTerm() == 0 {
				t.Errorf("the detail is %v", response.Details()[0])
			}
			if len(s.log.Entries()) != entries {
				t.Error("the command was executed")
			}
		})
	}
}

func TestErrorsNameFieldAndRemedy(t *testing.T) {
	s := newTestbed(t, 1)
	admin := s.coordination(0, adminPeer)
	worker := s.coordination(0, workerPeer)
	open(t, admin, sessionID)
	mount := func(change func(m *commonv1.Mount)) error {
		m := dataMount()
		change(m)
		_, err := admin.Mount(t.Context(), &masterv1.MountRequest{Request: id(1), Mount: m})
		return err
	}
	member := func(change func(m *commonv1.RingMember)) error {
		m := ringMember("w-0")
		change(m)
		_, err := worker.RegisterWorker(t.Context(), &masterv1.RegisterWorkerRequest{Request: id(1), Member: m})
		return err
	}
	session := func(r *masterv1.OpenSessionRequest) error {
		_, err := admin.OpenSession(t.Context(), r)
		return err
	}
	invalidate := func(request *masterv1.RequestId, path string) error {
		_, err := admin.Invalidate(t.Context(), &masterv1.InvalidateRequest{Request: request, Path: path})
		return err
	}
	entries := len(s.log.Entries())
	for _, test := range []struct {
		name string
		err  error
		code codes.Code
		want string
	}{
		{"no mount", mustFail(admin.Mount(t.Context(), &masterv1.MountRequest{Request: id(1)})), codes.InvalidArgument, "mount is missing"},
		{"a relative path", mount(func(m *commonv1.Mount) { m.Path = "data" }), codes.InvalidArgument, "absolute path"},
		{"a path that is not clean", mount(func(m *commonv1.Mount) { m.Path = "/data/../x/" }), codes.InvalidArgument, `write "/x"`},
		{"a path of two lines", mount(func(m *commonv1.Mount) { m.Path = "/a\nb" }), codes.InvalidArgument, "one line"},
		{"a long path", mount(func(m *commonv1.Mount) { m.Path = "/" + strings.Repeat("x", maxPath) }), codes.InvalidArgument, "at most"},
		{"no scheme", mount(func(m *commonv1.Mount) { m.Uri = "bucket" }), codes.InvalidArgument, "oss://bucket/prefix/"},
		{"a given id", mount(func(m *commonv1.Mount) { m.Id = "m1" }), codes.InvalidArgument, "omit them"},
		{"a secret", mount(func(m *commonv1.Mount) { m.Options["fs.oss.accessKeySecret"] = "hush" }), codes.InvalidArgument, "secret_ref"},
		{"a secret's path", mount(func(m *commonv1.Mount) { m.SecretRef = "../etc" }), codes.InvalidArgument, "not a path"},
		{"an unknown policy", mount(func(m *commonv1.Mount) { m.MetaPolicy = 9 }), codes.InvalidArgument, "ALWAYS or ONCE"},
		{"an option without key", mount(func(m *commonv1.Mount) { m.Options[""] = "x" }), codes.InvalidArgument, "without a key"},
		{"no member", mustFail(worker.RegisterWorker(t.Context(), &masterv1.RegisterWorkerRequest{Request: id(1)})), codes.InvalidArgument, "member is missing"},
		{"no host", member(func(m *commonv1.RingMember) { m.Host = "" }), codes.InvalidArgument, "DNS name"},
		{"no port", member(func(m *commonv1.RingMember) { m.Port = 70000 }), codes.InvalidArgument, "1 to 65535"},
		{"no weight", member(func(m *commonv1.RingMember) { m.Weight = 0 }), codes.InvalidArgument, "quota"},
		{"an id that is a path", member(func(m *commonv1.RingMember) { m.Id = "a/b" }), codes.InvalidArgument, "letters, digits"},
		{"a short session", session(&masterv1.OpenSessionRequest{Session: "s"}), codes.InvalidArgument, "16 to 64"},
		{"a short lease", session(&masterv1.OpenSessionRequest{Session: sessionID, Ttl: durationpb.New(time.Second)}), codes.InvalidArgument, "write 5s to 1h"},
		{"a session that replaces itself", session(&masterv1.OpenSessionRequest{Session: sessionID, Replaces: sessionID}), codes.InvalidArgument, "replaces itself"},
		{"no request", invalidate(nil, "/data"), codes.InvalidArgument, "request is missing"},
		{"sequence 0", invalidate(&masterv1.RequestId{Session: sessionID}, "/data"), codes.InvalidArgument, "start at 1"},
		{"an early acknowledgement", invalidate(&masterv1.RequestId{Session: sessionID, Sequence: 1, Acknowledged: 1}, "/data"), codes.InvalidArgument, "less than the sequence"},
		{"leadership of an unknown master", mustFail(masterv1.NewMemberClient(s.dial(0, adminPeer)).TransferLeadership(t.Context(), &masterv1.TransferLeadershipRequest{To: "w-0"})), codes.InvalidArgument, "m-0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := status.Convert(test.err)
			if got.Code() != test.code || !strings.Contains(got.Message(), test.want) {
				t.Errorf("got %s: %s", got.Code(), got.Message())
			}
		})
	}
	if len(s.log.Entries()) != entries {
		t.Error("an entry reached the log")
	}
	for name, want := range map[string]struct {
		err  error
		code codes.Code
	}{
		"a mount that does not exist": {invalidate(id(1), "/none"), codes.NotFound},
		"a gap":                       {invalidate(id(7), "/none"), codes.FailedPrecondition},
		"another caller's session":    {mustFail(s.coordination(0, mtls.Peer{Role: mtls.Admin, Name: "bob"}).Invalidate(t.Context(), &masterv1.InvalidateRequest{Request: id(2), Path: "/d"})), codes.FailedPrecondition},
		"another caller's lease":      {mustFail(s.coordination(0, mtls.Peer{Role: mtls.Admin, Name: "bob"}).KeepAlive(t.Context(), &masterv1.KeepAliveRequest{Session: sessionID})), codes.FailedPrecondition},
	} {
		if got := status.Convert(want.err); got.Code() != want.code || got.Message() == "" || len(got.Details()) != 1 {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func mustFail[T any](_ T, err error) error { return err }

func TestHeartbeats(t *testing.T) {
	s := newTestbed(t, 2)
	member := s.registered(0)
	for i := range 2 {
		reports := masterv1.NewReportsClient(s.dial(i, workerPeer))
		response, err := reports.Heartbeat(t.Context(), &masterv1.HeartbeatRequest{Report: report(member), ClusterId: s.Topology.ClusterID})
		if err != nil || !response.GetRegistered() || response.GetLeader() != (i == 0) || response.GetRingEpoch() != 1 || response.GetViewIndex() == 0 {
			t.Errorf("master %d returned %v, %v", i, response, err)
		}
		other := report(member)
		other.Id = "another-disk"
		if response, err := reports.Heartbeat(t.Context(), &masterv1.HeartbeatRequest{Report: other}); err != nil || response.GetRegistered() {
			t.Errorf("master %d with another disk: %v, %v", i, response, err)
		}
		if _, err := reports.Heartbeat(t.Context(), &masterv1.HeartbeatRequest{Report: report(member), ClusterId: "another"}); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("master %d to a worker of another cluster: %v", i, err)
		}
		if _, err := reports.Heartbeat(t.Context(), &masterv1.HeartbeatRequest{Report: &commonv1.WorkerReport{Name: "w-0"}}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("master %d to a report without id: %v", i, err)
		}
		if _, err := reports.Heartbeat(t.Context(), &masterv1.HeartbeatRequest{Report: report(member)}); err != nil {
			t.Error(err)
		}
	}
	// The new leader has received heartbeats of the worker before.
	s.log.Lead(1)
	list, err := s.coordination(1, adminPeer).ListWorkers(t.Context(), &masterv1.ListWorkersRequest{})
	if err != nil || len(list.GetWorkers()) != 1 || !list.GetWorkers()[0].GetLive() || list.GetWorkers()[0].GetLastHeartbeat() == nil {
		t.Errorf("the new leader lists %v, %v", list, err)
	}
}

func TestStatusHasDigests(t *testing.T) {
	s := newTestbed(t, 1)
	response, err := masterv1.NewMemberClient(s.dial(0, adminPeer)).Status(t.Context(), &masterv1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	digest := s.log.Member(0).State.View().Digest()
	if len(response.GetDigests()) == 0 || response.GetVersion() == "" {
		t.Fatalf("the status is %v", response)
	}
	if got := response.GetDigests()[0]; got.GetDigest() != digest.String() || got.GetIndex() != digest.Index {
		t.Errorf("the newest digest is %v, not %s at %d", got, digest, digest.Index)
	}
	if err := s.servers[0].Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	s.log.Lead(-1)
	if err := s.servers[0].Ready(); err == nil {
		t.Error("ready without a leader")
	}
}
