package jindocli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/cli/raft"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
	"github.com/jindo-io/jindo/test/cli/reporttest"
)

// group is a Raft group that records what is requested.
type group struct {
	removed   []string
	recovered []string
	damaged   bool
}

func (g *group) Recover(_ context.Context, master string, confirm bool) (*masterv1.RecoverResponse, error) {
	if confirm {
		g.recovered = append(g.recovered, master)
	}
	return &masterv1.RecoverResponse{MemberId: master + "-ff", LastTerm: 3, LastIndex: 1200, Epoch: 1}, nil
}

func (g *group) RemovePeer(_ context.Context, member string) (string, error) {
	if member == "m-9" {
		return "", errors.New("m-9 is not a member")
	}
	g.removed = append(g.removed, member)
	return member + "-ff", nil
}

func (g *group) Verify(context.Context) *client.Verification {
	v := &client.Verification{First: 1, Last: 20, DigestIndex: 19, Members: []client.VerifiedMember{
		{Name: "m-0", Checksum: "a", Digest: "b"}, {Name: "m-1", Checksum: "a", Digest: "b"},
	}}
	if g.damaged {
		v.Members[1].Checksum = "c"
	}
	return v
}

func (g *group) SaveSnapshot(_ context.Context, master string, w io.Writer) error {
	return reporttest.WriteSnapshot(master, w)
}

func (g *group) RestoreSnapshot(_ context.Context, master string, file io.Reader, newCluster bool) (uint64, error) {
	if err := reporttest.CheckSnapshot(file); err != nil {
		return 0, err
	}
	g.recovered = append(g.recovered, master)
	if newCluster {
		g.recovered = append(g.recovered, "as new")
	}
	return 7, nil
}

func TestRaftCommands(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "saved")
	if err := raft.SaveSnapshot(t.Context(), io.Discard, &group{}, "", saved); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args               string
		damaged            bool
		code               int
		out, err           string
		removed, recovered string
	}{
		"verify":         {args: "raft -verify", out: "entries 1 to 20"},
		"verify differs": {args: "raft -verify", damaged: true, code: exitFailed, out: "the masters DIFFER"},
		"remove":         {args: "raft -removePeer m-1", out: "m-1-ff removed\n", removed: "m-1"},
		"remove unknown": {args: "raft -removePeer m-9", code: exitFailed, err: "not a member"},
		"no option":      {args: "raft", code: exitUsage, err: "-verify, -removePeer, -recover, -saveSnapshot, -inspectSnapshot, -redactSnapshot or -restoreSnapshot is required"},
		"plan":           {args: "raft -recover m-0", out: "m-0 would continue alone"},
		"recover":        {args: "raft -recover m-0 -yes", out: "m-0 continues alone, in epoch 1", recovered: "m-0"},
		"save":           {args: "raft -saveSnapshot " + saved + "-2 m-1", out: "0 mounts"},
		"save nothing":   {args: "raft -saveSnapshot", code: exitUsage, err: "requires FILE"},
		"save unknown":   {args: "raft -saveSnapshot " + saved + "-2 m-9", code: exitFailed, err: "not a master"},
		"inspect":        {args: "raft -inspectSnapshot " + saved, out: "0 mounts"},
		"no file":        {args: "raft -inspectSnapshot", code: exitUsage, err: "requires one FILE"},
		"redact":         {args: "raft -redactSnapshot " + saved + " " + saved + "-3", out: "it cannot be restored"},
		"redact itself":  {args: "raft -redactSnapshot " + saved + " " + saved, code: exitFailed, err: "would replace itself"},
		"redact where":   {args: "raft -redactSnapshot " + saved, code: exitUsage, err: "requires FILE and OUT"},
		"restore":        {args: "raft -restoreSnapshot " + saved + " m-0", out: "m-0 restarts", recovered: "m-0"},
		"restore as new": {args: "raft -restoreSnapshot " + saved + " m-0 -intoNewCluster", out: "m-0 restarts with the mounts", recovered: "m-0 as new"},
		"restore as":     {args: "raft -restoreSnapshot " + saved + " m-0 m-1", code: exitUsage, err: "requires FILE and MASTER"},
		"restore where":  {args: "raft -restoreSnapshot " + saved, code: exitUsage, err: "requires FILE and MASTER"},
		"no master":      {args: "raft -recover -yes extra", code: exitUsage, err: "requires one MASTER"},
		"no member":      {args: "raft -removePeer", code: exitUsage, err: "requires one MEMBER"},
		"too much":       {args: "raft -verify x", code: exitUsage, err: "takes no arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, err bytes.Buffer
			m := &memory{group: group{damaged: test.damaged}}
			env := Env{
				Program: nameJindo, Out: &out, Err: &err, Getenv: func(string) string { return "" },
				Open: func(context.Context, Settings) (Cluster, error) { return m, nil },
			}
			args := append([]string{"--roster=r", "--tls-dir=t"}, strings.Fields(test.args)...)
			if code := Run(t.Context(), env, args); code != test.code {
				t.Errorf("exit code %d, want %d (%s)", code, test.code, err.String())
			}
			if !strings.Contains(out.String(), test.out) || !strings.Contains(err.String(), test.err) {
				t.Errorf("stdout %q, stderr %q", out.String(), err.String())
			}
			if got := strings.Join(m.group.removed, " "); got != test.removed {
				t.Errorf("removed %q", got)
			}
			if got := strings.Join(m.group.recovered, " "); got != test.recovered {
				t.Errorf("recovered %q", got)
			}
		})
	}
}
