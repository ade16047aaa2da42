package raft

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/test/cli/reporttest"
)

// administered is a source whose masters record what is requested.
type administered struct {
	*reporttest.Source
	requests     []string
	verification *client.Verification
}

func (a *administered) Administer(_ context.Context, ref report.Ref, use func(Masters) error) error {
	a.requests = append(a.requests, ref.String())
	return use(a)
}

func (a *administered) RemovePeer(_ context.Context, member string) (string, error) {
	if member == "x" {
		return "", errors.New("remove a member: remove x: not a member")
	}
	a.requests = append(a.requests, "remove "+member)
	return member + "-ff", nil
}

func (a *administered) Recover(_ context.Context, master string, confirm bool) (*masterv1.RecoverResponse, error) {
	if confirm {
		a.requests = append(a.requests, "recover "+master)
	}
	return &masterv1.RecoverResponse{MemberId: master + "-ff", LastTerm: 2, LastIndex: 40, Epoch: 1, Lost: []*masterv1.LostMember{
		{Name: "m-1", MemberId: "m-1-ff", Voter: true, LastTerm: 2, LastIndex: 39},
	}}, nil
}

func (a *administered) Verify(context.Context) *client.Verification { return a.verification }

func (a *administered) SaveSnapshot(_ context.Context, master string, w io.Writer) error {
	return reporttest.WriteSnapshot(master, w)
}

func (a *administered) RestoreSnapshot(_ context.Context, master string, file io.Reader, newCluster bool) (uint64, error) {
	if err := reporttest.CheckSnapshot(file); err != nil {
		return 0, err
	}
	if newCluster {
		master += " into a new cluster"
	}
	a.requests = append(a.requests, "restore "+master)
	return 7, nil
}

// TestSnapshotCommands saves, inspects and restores a file.
func TestSnapshotCommands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	source := &administered{Source: &reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy()}}}
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		s := &session.Session{
			Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out},
			Getenv:  func(string) string { return "" }, Name: "kubectl jindo",
			Source: func(*session.Session) (report.Source, error) { return source, nil },
		}
		cmd := New(s)
		s.AddFlags(cmd.PersistentFlags())
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(append([]string{"snapshot"}, args...))
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"save", "-f", path}, "Holds    0 mounts, 0 workers in ring epoch 0, 0 sessions"},
		{[]string{"inspect", path}, `Member   "m-0-ff", voter at "host:1"`},
		{[]string{"restore", "-f", path, "--master", "m-0"}, "m-0 restarts with the state after entry 7"},
		{[]string{"restore", "-f", path, "--master", "m-1", "--into-new-cluster"}, `m-1 restarts with the mounts of cluster "" after entry 7`},
	} {
		if out, err := run(test.args...); err != nil || !strings.Contains(out, test.want) {
			t.Errorf("%v: %q, %v", test.args, out, err)
		}
	}
	if got := strings.Join(source.requests, ","); !strings.Contains(got, "restore m-0,") || !strings.Contains(got, "restore m-1 into a new cluster") {
		t.Errorf("requested %q", source.requests)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run("save", "-f", path, "--master", "m-9"); err == nil {
		t.Error("an unknown master was saved")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("a failed save changed the file: %v", err)
	}
	redacted := filepath.Join(t.TempDir(), "redacted")
	if out, err := run("redact", path, "-o", redacted); err != nil || !strings.Contains(out, "cannot be restored") || strings.Contains(out, "m-0") {
		t.Errorf("redact: %q, %v", out, err)
	}
	if out, err := run("inspect", redacted); err != nil || !strings.Contains(out, "cannot be restored") {
		t.Errorf("inspect a redacted file: %q, %v", out, err)
	}
	if _, err := run("restore", "-f", redacted, "--master", "m-0"); err == nil || !strings.Contains(err.Error(), "the snapshot is redacted") {
		t.Errorf("restore a redacted file: %v", err)
	}
	if _, err := run("redact", path, "-o", path); err == nil || !strings.Contains(err.Error(), "would replace itself") {
		t.Errorf("redact a file in place: %v", err)
	}
	for _, args := range [][]string{{"save"}, {"restore", "-f", path}, {"inspect"}, {"redact", path}} {
		if _, err := run(args...); err == nil {
			t.Errorf("%v is complete", args)
		}
	}
	if err := os.WriteFile(path, before[:len(before)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	source.requests = nil
	for _, args := range [][]string{{"inspect", path}, {"restore", "-f", path, "--master", "m-0"}} {
		if _, err := run(args...); err == nil || !strings.Contains(err.Error(), "truncated") {
			t.Errorf("%v of a damaged file: %v", args, err)
		}
	}
	if strings.Contains(strings.Join(source.requests, " "), "restore") {
		t.Error("a damaged file was sent")
	}
}

func TestAdminister(t *testing.T) {
	equal := &client.Verification{First: 1, Last: 9, DigestIndex: 9, Members: []client.VerifiedMember{{Name: "m-0", Checksum: "a", Digest: "b"}, {Name: "m-1", Checksum: "a", Digest: "b"}}}
	missing := &client.Verification{First: 1, Last: 9, DigestIndex: 9, Members: []client.VerifiedMember{{Name: "m-0", Checksum: "a", Digest: "b"}, {Name: "m-1", Err: errors.New("timeout")}}}
	for name, test := range map[string]struct {
		args           string
		verification   *client.Verification
		code           int
		stdout, stderr string
		requested      string
	}{
		"remove":           {args: "remove-peer --member m-1", stdout: "m-1-ff removed\n", requested: "remove m-1"},
		"remove nothing":   {args: "remove-peer", code: clierror.Usage, stderr: "--member is required"},
		"remove unknown":   {args: "remove-peer --member x", code: clierror.General, stderr: "not a member\ntry: kubectl jindo raft status hadoop -n default\n"},
		"plan":             {args: "recover --master m-0", stdout: "m-0 would continue alone, in epoch 1", stderr: "try: kubectl jindo raft recover hadoop -n default --master m-0 --yes"},
		"recover":          {args: "recover --master m-0 --yes", stdout: "m-0 continues alone, in epoch 1", requested: "recover m-0"},
		"recover nothing":  {args: "recover", code: clierror.Usage, stderr: "the masters that respond are hadoop-jindofs-master-0 (last log "},
		"verify":           {args: "verify", verification: equal, stdout: "Result   all masters agree"},
		"verify one short": {args: "verify", verification: missing, code: clierror.Unhealthy, stdout: "not all masters were compared"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, err bytes.Buffer
			source := &administered{Source: &reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy()}}, verification: test.verification}
			s := &session.Session{
				Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &err},
				Getenv:  func(string) string { return "" }, Name: "kubectl jindo",
				Source: func(*session.Session) (report.Source, error) { return source, nil },
			}
			cmd := New(s)
			s.AddFlags(cmd.PersistentFlags())
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetArgs(strings.Fields(test.args))
			failed := cmd.ExecuteContext(t.Context())
			clierror.Print(&err, failed)
			if code := clierror.Code(failed); code != test.code {
				t.Errorf("exit code %d, want %d (stderr %q)", code, test.code, err.String())
			}
			if !strings.Contains(out.String(), test.stdout) || !strings.Contains(err.String(), test.stderr) {
				t.Errorf("stdout %q, stderr %q", out.String(), err.String())
			}
			if got := strings.Join(source.requests, " "); !strings.Contains(got, test.requested) || test.requested == "" && strings.Count(got, "re") > 0 {
				t.Errorf("requested %q, want %q", got, test.requested)
			}
		})
	}
}
