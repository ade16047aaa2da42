package server

import (
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/cache/transport"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// TestMountsOfAFuseCertificate: every call about a mount is refused to a fuse
// certificate that names another one.
func TestMountsOfAFuseCertificate(t *testing.T) {
	dir := socketDir(t)
	h := newHarness(t, func(h *harness) { h.config.SocketDir = dir }).ready()
	h.directory.entries = map[string]*workerv1.Entry{"/a": {Name: []byte("a")}}
	key := h.bucket.put("a", 1, 10)
	for name, test := range map[string]struct {
		grants  []mtls.Grant
		allowed bool
	}{
		"the mount":     {[]mtls.Grant{{Path: "/hadoop"}}, true},
		"all mounts":    {[]mtls.Grant{{Path: "/"}}, true},
		"none":          {nil, true},
		"another mount": {[]mtls.Grant{{Path: "/had"}, {Path: "/hadoop/below"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := h.authority.Issue(mtls.Peer{Role: mtls.Fuse, Name: "f"}, nil, time.Hour, test.grants...)
			if err != nil {
				t.Fatal(err)
			}
			identity, err := mtls.NewIdentity(pair)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := identity.Dial(h.worker.Addr().String(), mtls.Worker, h.name)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			directory, cluster := workerv1.NewDirectoryClient(conn), workerv1.NewCacheClient(conn)
			for call, run := range map[string]func() error{
				"Lookup": func() error {
					_, err := directory.Lookup(t.Context(), &workerv1.LookupRequest{MountId: "m1", Name: []byte("a")})
					return err
				},
				"List": func() error {
					_, err := directory.List(t.Context(), &workerv1.ListRequest{MountId: "m1"})
					return err
				},
				"Forget": func() error {
					_, err := directory.Forget(t.Context(), &workerv1.ForgetRequest{MountId: "m1", Name: []byte("a")})
					return err
				},
				"GetTotals": func() error {
					_, err := cluster.GetTotals(t.Context(), &workerv1.GetTotalsRequest{MountId: "m1"})
					return err
				},
			} {
				if err := run(); (status.Code(err) == codes.PermissionDenied) == test.allowed || test.allowed && err != nil {
					t.Errorf("%s: %v", call, err)
				}
			}
			view, err := cluster.GetView(t.Context(), &workerv1.GetViewRequest{})
			if err != nil || len(view.GetView().GetMounts()) == 1 != test.allowed || len(view.GetView().GetRing().GetMembers()) != 1 {
				t.Errorf("the view is %v (%v)", view, err)
			}
			epochs, err := cluster.GetEpochs(t.Context(), &workerv1.GetEpochsRequest{})
			if err != nil || len(epochs.GetMounts()) == 1 != test.allowed {
				t.Errorf("the epochs are %v (%v)", epochs, err)
			}
			for name, sockets := range map[string]string{"port": "", "socket": dir} {
				bytes := transport.New(transport.Config{Identity: identity, Worker: h.name, SocketDir: sockets})
				defer bytes.CloseIdleConnections()
				a, err := h.get(&http.Client{Transport: bytes}, key, 0, 9)
				want := map[bool]int{true: http.StatusPartialContent, false: http.StatusForbidden}[test.allowed]
				if err != nil || a.status != want {
					t.Errorf("bytes over the %s: status %d, want %d (%v)", name, a.status, want, err)
				}
				if used := bytes.Counts(); (used.Sockets > 0) != (sockets != "") || (used.TLS > 0) == (sockets != "") {
					t.Errorf("bytes over the %s: %+v", name, used)
				}
			}
		})
	}
}
