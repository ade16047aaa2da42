package server

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// granted returns the roles that may make each call, independently of Rights.
func granted() map[string][]mtls.Role {
	const a, m, w, f = mtls.Admin, mtls.Master, mtls.Worker, mtls.Fuse
	const coordination, member = "/jindo.master.v1.Coordination/", "/jindo.master.v1.Member/"
	return map[string][]mtls.Role{
		coordination + "OpenSession":    {a, m, w},
		coordination + "KeepAlive":      {a, m, w},
		coordination + "RegisterWorker": {w},
		coordination + "RemoveWorker":   {a, m},
		coordination + "Mount":          {a, m},
		coordination + "Unmount":        {a, m},
		coordination + "Invalidate":     {a, m},
		coordination + "GetView":        {a, m, w, f},
		coordination + "ListWorkers":    {a, m},

		"/jindo.master.v1.Reports/Heartbeat": {w},

		member + "Status":             {a, m},
		member + "TransferLeadership": {a, m},
		member + "Describe":           {m},
		member + "Join":               {m},
		member + "RemovePeer":         {a, m},
		member + "Recover":            {a, m},
		member + "SaveSnapshot":       {a, m},
		member + "RestoreSnapshot":    {a, m},
		member + "Checksums":          {a, m},
		member + "RecordVerification": {a, m},

		"/grpc.health.v1.Health/Check": {a, m, w, f},
		"/grpc.health.v1.Health/List":  {a, m, w, f},
		"/grpc.health.v1.Health/Watch": {a, m, w, f},

		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      {a, m},
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {a, m},
	}
}

// services returns the services of a master. Every method of each must be in
// the table.
func services() []grpc.ServiceDesc {
	return []grpc.ServiceDesc{
		masterv1.Coordination_ServiceDesc, masterv1.Reports_ServiceDesc, masterv1.Member_ServiceDesc,
		grpc_health_v1.Health_ServiceDesc, grpc_reflection_v1.ServerReflection_ServiceDesc, grpc_reflection_v1alpha.ServerReflection_ServiceDesc,
	}
}

func TestEveryCallByEveryRole(t *testing.T) {
	s := newTestbed(t, 1)
	table := granted()
	conns := map[mtls.Role]*grpc.ClientConn{
		mtls.Admin: s.dial(0, adminPeer), mtls.Master: s.dial(0, mtls.Peer{Role: mtls.Master, Name: s.Name(0)}),
		mtls.Worker: s.dial(0, workerPeer), mtls.Fuse: s.dial(0, fusePeer),
		"unknown role": s.dial(0, mtls.Peer{Role: "unknown", Name: "x"}),
	}
	called := 0
	for _, service := range services() {
		streams := map[string]bool{}
		var methods []string
		for _, m := range service.Methods {
			methods = append(methods, m.MethodName)
		}
		for _, m := range service.Streams {
			methods = append(methods, m.StreamName)
			streams[m.StreamName] = true
		}
		for _, method := range methods {
			full := "/" + service.ServiceName + "/" + method
			roles, known := table[full]
			if !known {
				t.Errorf("%s is served, but is not in the table", full)
			}
			called++
			for role, conn := range conns {
				code := status.Code(call(t.Context(), conn, full, streams[method]))
				if allowed := slices.Contains(roles, role); allowed == (code == codes.PermissionDenied) {
					t.Errorf("%s by %s: want allowed %v, got %s", full, role, allowed, code)
				}
			}
		}
	}
	if called != len(table) {
		t.Errorf("%d calls are served, but the table has %d", called, len(table))
	}
}

// call makes a call with an empty message. Whether it is allowed shows in the
// error, which is of another kind when the message is invalid.
func call(ctx context.Context, conn *grpc.ClientConn, method string, stream bool) error {
	if !stream {
		return conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opened, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	_ = opened.SendMsg(&emptypb.Empty{}) // the response has the error
	_ = opened.CloseSend()
	return opened.RecvMsg(&emptypb.Empty{})
}

func TestCallsOfOneNameOnly(t *testing.T) {
	s := newTestbed(t, 1)
	worker := s.dial(0, workerPeer)
	open(t, masterv1.NewCoordinationClient(worker), sessionID)
	stranger := s.dial(0, mtls.Peer{Role: mtls.Master, Name: "m-9"})
	listed := s.dial(0, mtls.Peer{Role: mtls.Master, Name: "m-0"})
	for name, run := range map[string]func() error{
		"a worker registers another": func() error {
			_, err := masterv1.NewCoordinationClient(worker).RegisterWorker(t.Context(), &masterv1.RegisterWorkerRequest{Request: id(1), Member: ringMember("w-1")})
			return err
		},
		"a worker reports for another": func() error {
			_, err := masterv1.NewReportsClient(worker).Heartbeat(t.Context(), &masterv1.HeartbeatRequest{Report: report(ringMember("w-1"))})
			return err
		},
		"a master that is not in the topology calls Describe": func() error {
			_, err := masterv1.NewMemberClient(stranger).Describe(t.Context(), &masterv1.DescribeRequest{})
			return err
		},
		"a master that is not in the topology joins": func() error {
			_, err := masterv1.NewMemberClient(stranger).Join(t.Context(), &masterv1.JoinRequest{Name: "m-9"})
			return err
		},
		"a master joins as another": func() error {
			_, err := masterv1.NewMemberClient(listed).Join(t.Context(), &masterv1.JoinRequest{Name: "m-1"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(); status.Code(err) != codes.PermissionDenied {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := masterv1.NewMemberClient(listed).Join(t.Context(), &masterv1.JoinRequest{Name: "m-0"}); err != nil || len(s.log.Member(0).Joined()) != 1 {
		t.Errorf("a master of the topology was rejected: %v", err)
	}
}

// TestViewOfAFuseCertificate: a FUSE server sees the mounts that its certificate
// names, and neither options nor the names of secrets of stores that it may not
// open. Other roles see everything.
func TestViewOfAFuseCertificate(t *testing.T) {
	s := newTestbed(t, 1)
	admin := s.coordination(0, adminPeer)
	open(t, admin, sessionID)
	for i, path := range []string{"/data", "/other"} {
		mount := dataMount()
		mount.Name, mount.Path, mount.SecretRef = path[1:], path, "secret-of-"+path[1:]
		if _, err := admin.Mount(t.Context(), &masterv1.MountRequest{Request: id(uint64(i + 1)), Mount: mount}); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		role          mtls.Role
		grants        []mtls.Grant
		mounts        int
		options, refs int
	}{
		"a worker":            {mtls.Worker, nil, 2, 2, 2},
		"an admin":            {mtls.Admin, nil, 2, 2, 2},
		"no mount":            {mtls.Fuse, nil, 2, 0, 0},
		"one mount":           {mtls.Fuse, []mtls.Grant{{Path: "/data"}}, 1, 0, 0},
		"one mount and store": {mtls.Fuse, []mtls.Grant{{Path: "/data", Store: true}}, 1, 1, 1},
		"a mount that is not": {mtls.Fuse, []mtls.Grant{{Path: "/dat"}}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := s.Authority.Issue(mtls.Peer{Role: test.role, Name: "x"}, nil, time.Hour, test.grants...)
			if err != nil {
				t.Fatal(err)
			}
			identity, err := mtls.NewIdentity(pair)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := identity.Dial(s.Topology.Masters[0].Address(), mtls.Master, s.Name(0))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			response, err := masterv1.NewCoordinationClient(conn).GetView(t.Context(), &masterv1.GetViewRequest{})
			if err != nil {
				t.Fatal(err)
			}
			options, refs := 0, 0
			for _, m := range response.GetView().GetMounts() {
				options += len(m.GetOptions())
				if m.GetSecretRef() != "" {
					refs++
				}
			}
			if len(response.GetView().GetMounts()) != test.mounts || options != test.options || refs != test.refs {
				t.Errorf("the view is %v", response.GetView())
			}
		})
	}
}
