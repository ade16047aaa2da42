package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/cluster"
	"github.com/jindo-io/jindo/pkg/cli/raft"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/cli/status"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/pkg/topology"
	"github.com/jindo-io/jindo/test/cli/clitest"
)

const (
	namespace = "vision"
	// testTimeout is far above the --request-timeout of the tests.
	testTimeout = time.Minute
)

// fake is a runtime in a cluster whose masters are gRPC servers of the test.
type fake struct {
	t         *testing.T
	server    *clitest.Server
	authority *mtls.Authority
	masters   []string
}

func newFake(t *testing.T, masters int) *fake {
	t.Helper()
	authority, err := mtls.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, authority: authority}
	members := topology.Topology{Namespace: namespace, Name: "hadoop"}
	runtime := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Name: "hadoop", Namespace: namespace}}
	runtime.Status.DesiredMasterNumberScheduled = int32(masters)
	runtime.Status.Raft = &v1alpha1.RaftStatus{}
	objects := []client.Object{runtime}
	for i := range masters {
		name := fmt.Sprintf("hadoop-jindofs-master-%d", i)
		f.masters = append(f.masters, name)
		members.Masters = append(members.Masters, topology.Member{Name: name, Host: name + "." + namespace + ".svc", Port: topology.MasterPort, RaftPort: topology.RaftPort})
		runtime.Status.Raft.Members = append(runtime.Status.Raft.Members, v1alpha1.RaftMember{Name: name, State: "FOLLOWER", Voter: true})
		objects = append(objects, pod(name, true))
	}
	raw, err := members.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	pair := f.pair(mtls.Admin, "admin")
	objects = append(objects,
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: names.Config("hadoop"), Namespace: namespace},
			Data:       map[string]string{names.FuseSecretRoster: string(raw)},
		},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: names.Secret("hadoop", string(mtls.Admin)), Namespace: namespace},
			Data:       map[string][]byte{mtls.CAFile: pair.CA, mtls.CertFile: pair.Cert, mtls.KeyFile: pair.Key},
		})
	f.server = clitest.New(t, objects...)
	return f
}

func pod(name string, ready bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{
		names.LabelApp: names.App, names.LabelRelease: "hadoop", names.LabelRole: "jindofs-master",
	}}}
	p.Status.Phase = corev1.PodRunning
	state := corev1.ConditionTrue
	if !ready {
		state = corev1.ConditionFalse
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "master", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137},
		}}}
	}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: state}}
	return p
}

func (f *fake) pair(role mtls.Role, name string) mtls.Pair {
	f.t.Helper()
	pair, err := f.authority.Issue(mtls.Peer{Role: role, Name: name}, nil, time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	return pair
}

func (f *fake) listen(master int) net.Listener {
	f.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.server.Forward(namespace, f.masters[master], topology.MasterPort, listener.Addr().String())
	return listener
}

// member is a master with a fixed response.
type member struct {
	masterv1.UnimplementedMemberServer
	response *masterv1.StatusResponse
	// silent makes every call wait for its deadline.
	silent bool
}

func (m *member) Status(ctx context.Context, _ *masterv1.StatusRequest) (*masterv1.StatusResponse, error) {
	if m.silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.response, nil
}

// serve starts a master. Without it the connection to the master is refused.
func (f *fake) serve(master int, silent bool) {
	f.t.Helper()
	identity, err := mtls.NewIdentity(f.pair(mtls.Master, f.masters[master]))
	if err != nil {
		f.t.Fatal(err)
	}
	response := &masterv1.StatusResponse{
		Name: f.masters[master], State: "FOLLOWER", Term: 3, Leader: f.masters[0], Voter: true, Ready: true, CommitIndex: 9, AppliedIndex: 9,
		Digests: []*masterv1.Digest{{Index: 9, Digest: "d"}},
	}
	if master == 0 {
		response.State = "LEADER"
	}
	for _, name := range f.masters {
		response.Peers = append(response.Peers, &masterv1.Peer{Name: name, Voter: true})
	}
	server := grpc.NewServer(identity.ServerOptions(mtls.Rights{masterv1.Member_Status_FullMethodName: {mtls.Admin}})...)
	masterv1.RegisterMemberServer(server, &member{response: response, silent: silent})
	listener := f.listen(master)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	f.t.Cleanup(func() {
		server.Stop()
		<-done
	})
}

// mute accepts the connections of a master and sends nothing.
func (f *fake) mute(master int) {
	f.t.Helper()
	listener := f.listen(master)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var held []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			held = append(held, conn)
		}
		for _, conn := range held {
			_ = conn.Close()
		}
	}()
	f.t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
}

// run runs a command against the cluster.
func (f *fake) run(make func(*session.Session) *cobra.Command, args ...string) (stdout, stderr string, code int) {
	f.t.Helper()
	var out, errors bytes.Buffer
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errors},
		Getenv:  func(string) string { return "" }, Name: "kubectl jindo",
		Source: func(s *session.Session) (report.Source, error) { return cluster.New(s) },
	}
	cmd := make(s)
	s.AddFlags(cmd.PersistentFlags())
	f.server.Use(f.t, s)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetErr(&errors)
	cmd.SetArgs(append(args, "-n", namespace))
	ctx, cancel := context.WithTimeout(f.t.Context(), testTimeout)
	defer cancel()
	failed := cmd.ExecuteContext(ctx)
	if ctx.Err() != nil {
		f.t.Fatalf("the command did not end within %v", testTimeout)
	}
	clierror.Print(&errors, failed)
	return out.String(), errors.String(), clierror.Code(failed)
}

// row returns the row of a screen that starts with a name, with single spaces.
func row(screen, name string) string {
	for line := range strings.Lines(screen) {
		words := strings.Join(strings.Fields(line), " ")
		if strings.Contains(words, name+" ") && !strings.HasPrefix(words, "! ") && !strings.HasPrefix(words, "Group") {
			return words
		}
	}
	return ""
}

func TestRaftStatusOfUnreachableMembers(t *testing.T) {
	for name, test := range map[string]struct {
		masters     int
		setUp       func(f *fake)
		code        int
		unreachable []int
		message     string
	}{
		"all respond":                         {3, func(f *fake) { f.serve(0, false); f.serve(1, false); f.serve(2, false) }, clierror.OK, nil, "all 3 agree"},
		"a minority is unreachable":           {3, func(f *fake) { f.serve(0, false); f.serve(1, false) }, clierror.OK, []int{2}, "hadoop-jindofs-master-2 unreachable: connection refused"},
		"half are unreachable":                {4, func(f *fake) { f.serve(0, false); f.serve(1, false) }, clierror.Unhealthy, []int{2, 3}, "hadoop-jindofs-master-2, hadoop-jindofs-master-3 unreachable: connection refused"},
		"all are unreachable":                 {3, func(*fake) {}, clierror.Unhealthy, []int{0, 1, 2}, "no master reachable"},
		"connections without a TLS handshake": {3, func(f *fake) { f.serve(0, false); f.mute(1); f.mute(2) }, clierror.Unhealthy, []int{1, 2}, "unreachable: timeout"},
		"calls without a response":            {3, func(f *fake) { f.serve(0, false); f.serve(1, true); f.serve(2, true) }, clierror.Unhealthy, []int{1, 2}, "unreachable: timeout"},
		"one of both kinds":                   {3, func(f *fake) { f.serve(0, true); f.mute(1) }, clierror.Unhealthy, []int{0, 1, 2}, "unreachable: timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, test.masters)
			test.setUp(f)
			timeout := "30s"
			if strings.Contains(test.message, "timeout") {
				timeout = "6s" // in which the others respond on a busy machine
			}
			stdout, stderr, code := f.run(raft.New, "status", "--request-timeout="+timeout)
			if code != test.code || stderr != "" {
				t.Errorf("exit code %d, want %d; stderr %q", code, test.code, stderr)
			}
			for _, i := range test.unreachable {
				if r := row(stdout, f.masters[i]); !strings.Contains(strings.ToUpper(r), "UNREACHABLE") {
					t.Errorf("row %q of master %d does not show it as unreachable", r, i)
				}
			}
			for i, name := range f.masters {
				if r := row(stdout, name); !slices.Contains(test.unreachable, i) && strings.Contains(strings.ToUpper(r), "UNREACHABLE") {
					t.Errorf("row %q of master %d shows it as unreachable", r, i)
				}
			}
			if !strings.Contains(stdout, test.message) {
				t.Errorf("%q is missing", test.message)
			}
			if t.Failed() {
				t.Log(stdout)
			}
		})
	}
}

func TestWideStatusNamesUnreachableMembersOnce(t *testing.T) {
	f := newFake(t, 4)
	f.serve(0, false)
	f.serve(1, false)
	if err := f.server.Put(pod(f.masters[3], false)); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := f.run(status.New, "hadoop", "-o", "wide", "--request-timeout=30s", "--exit-code")
	if code != clierror.Unhealthy || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{
		f.masters[2] + " is unreachable",
		"1 of 4 targets unreachable: " + f.masters[2] + " (connection refused)\n",
		f.masters[3] + ": ",
	} {
		if n := strings.Count(stdout, want); n != 1 {
			t.Errorf("%q occurs %d times", want, n)
		}
	}
	// Once among the problems, once among the masters.
	if n := strings.Count(stdout, f.masters[3]); n != 2 {
		t.Errorf("the master whose pod is not ready is named %d times, want 2", n)
	}
	if strings.Contains(stdout, "connection error") || strings.Contains(stdout, "transport:") {
		t.Error("the output contains the wrapping of gRPC")
	}
	if t.Failed() {
		t.Log(stdout)
	}
}
