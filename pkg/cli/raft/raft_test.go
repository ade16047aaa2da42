package raft

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/test/cli/clitest"
	"github.com/jindo-io/jindo/test/cli/golden"
	"github.com/jindo-io/jindo/test/cli/reporttest"
)

var update = golden.Flag()

func TestScreen(t *testing.T) {
	for name, r := range map[string]*report.Runtime{
		"healthy": reporttest.Healthy(), "degraded": reporttest.Degraded(),
		"leaderless": reporttest.Leaderless(), "diverged": reporttest.Diverged(),
	} {
		for screenName, screen := range map[string]iostreams.Screen{
			"80-ascii": {Width: 80}, "80-colour": {Width: 80, Colour: true, Unicode: true},
			"120-plain": {Width: 120, Unicode: true}, "120-colour": {Width: 120, Colour: true, Unicode: true}, "pipe": {Unicode: true},
		} {
			t.Run(name+"/"+screenName, func(t *testing.T) {
				var out bytes.Buffer
				if err := Draw(&out, screen, r, false); err != nil {
					t.Fatal(err)
				}
				golden.Compare(t, *update, fmt.Sprintf("%s.%s.txt", name, screenName), out.String())
				for line := range strings.Lines(out.String()) {
					line = strings.TrimSuffix(line, "\n")
					sentence := strings.HasPrefix(line, "! ") || strings.HasPrefix(line, "x ") || strings.HasPrefix(line, "\x1b")
					if screen.Width > 0 && iostreams.Width(line) > screen.Width && !sentence {
						t.Errorf("line of %d columns on a screen of %d: %q", iostreams.Width(line), screen.Width, line)
					}
					if !screen.Colour && strings.Contains(line, "\x1b") {
						t.Errorf("the output contains colours: %q", line)
					}
				}
			})
		}
	}
}

// A master that is not ready, or accepts no changes, states why.
func TestReasonsOfMembers(t *testing.T) {
	r := reporttest.Healthy()
	r.Masters[1].ReadOnly, r.Masters[1].Reason = true, "the disk of this master is full"
	var out bytes.Buffer
	if err := Draw(&out, iostreams.Screen{Width: 80}, r, false); err != nil {
		t.Fatal(err)
	}
	if want := "! " + r.Masters[1].Name + ": the disk of this master is full\n"; !strings.Contains(out.String(), want) {
		t.Errorf("the screen lacks %q:\n%s", want, out.String())
	}
}

// The leader reports the newest scheduled snapshot, and why the next one failed.
func TestScheduledSnapshots(t *testing.T) {
	for name, test := range map[string]struct {
		of   report.ScheduledSnapshots
		want string
	}{
		"none": {report.ScheduledSnapshots{Mount: "backup"}, "\nSaved    never in mount backup\n"},
		"one": {
			report.ScheduledSnapshots{Mount: "backup", Key: "a/c1-7.jindosnapshot", Index: 1234567, Bytes: 2048},
			"\nSaved    12m ago: a/c1-7.jindosnapshot in mount backup, index 1,234,567, 2.0 KiB\n",
		},
		"failed": {
			report.ScheduledSnapshots{Mount: "backup", Failures: 2, Error: "store a snapshot through w-0: permission denied"},
			"! 2 failed attempts since the last scheduled snapshot: store a snapshot through w-0: permission denied\n",
		},
	} {
		r := reporttest.Healthy()
		if test.of.Key != "" {
			at := metav1.NewTime(r.Collected.Add(-12 * time.Minute))
			test.of.Time = &at
		}
		r.Leader().Scheduled = &test.of
		var out bytes.Buffer
		if err := Draw(&out, iostreams.Screen{Width: 200}, r, false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), test.want) {
			t.Errorf("%s: the screen lacks %q:\n%s", name, test.want, out.String())
		}
	}
}

// The leader, or every master, may have a version that reports neither the health of
// the group nor the last verification.
func TestHealthOfOldMembers(t *testing.T) {
	for name, old := range map[string]func(*report.Runtime){
		"all": func(r *report.Runtime) {
			r.Masters[1].Group, r.Masters[1].Verification = nil, nil
			for i := range r.Masters[1].Peers {
				p := &r.Masters[1].Peers[i]
				p.Stable, p.Behind, p.ContactSeconds, p.CaughtUpSince = nil, nil, nil, nil
			}
		},
		"a leader of another term": func(r *report.Runtime) {
			r.Masters[1].State, r.Masters[2].State, r.Masters[2].Term = "FOLLOWER", "LEADER", 18
			r.Masters[1].Verification = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := reporttest.Healthy()
			old(r)
			var out bytes.Buffer
			if err := Draw(&out, iostreams.Screen{Width: 200}, r, false); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"\nHealth   -\n", "\nVerify   -\n", "tolerates 1 failure\n"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the screen lacks %q:\n%s", want, out.String())
				}
			}
			if strings.Contains(out.String(), " 6d      2.1ms") {
				t.Errorf("a member is shown as stable:\n%s", out.String())
			}
		})
	}
}

func TestJindoBlock(t *testing.T) {
	r := reporttest.Degraded()
	var out bytes.Buffer
	if err := DrawJindo(&out, r.Masters, func(host string) string { return host }); err != nil {
		t.Fatal(err)
	}
	// Byte for byte the form that JindoRuntime's users know.
	const want = `==== hadoop-jindofs-master-0:18004 ====
peer_id: 127.93.12.11:18006:0
state: UNREACHABLE

==== hadoop-jindofs-master-1:18004 ====
peer_id: 127.93.12.12:18006:0
state: LEADER

==== hadoop-jindofs-master-2:18004 ====
peer_id: 127.93.12.13:18006:0
state: FOLLOWER
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	named := []report.Master{{Name: "m-0", Address: "m-0.ns:1", RaftAddress: "m-0.ns:2", State: "LEADER"}}
	if err := DrawJindo(&out, named, func(string) string { return "10.0.0.7" }); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "==== m-0:1 ====\npeer_id: 10.0.0.7:2:0\n") {
		t.Errorf("a host name is not shown as its address: %q", out.String())
	}
}

func TestEvaluate(t *testing.T) {
	agreeing := func(change func(r *report.Runtime)) *report.Runtime {
		r := reporttest.Healthy()
		change(r)
		return r
	}
	for name, test := range map[string]struct {
		report        *report.Runtime
		quorum, found int
		digest        string
		disagreements int
	}{
		"all well":                  {agreeing(func(*report.Runtime) {}), 2, 3, "all 3 agree at applied 8,214,903", 0},
		"one unreachable":           {reporttest.Degraded(), 2, 2, "2 of 3 agree at applied 8,214,902", 0},
		"another digest":            {reporttest.Diverged(), 2, 3, "DISAGREE at applied 8,214,903", 3},
		"terms differ":              {reporttest.Leaderless(), 2, 3, "all 3 agree", 3},
		"no leader, and all agree":  {electing(), 2, 3, "all 3 agree", 1},
		"a candidate has no leader": {agreeing(func(r *report.Runtime) { r.Masters[2].State = "CANDIDATE" }), 2, 3, "all 3 agree", 2},
		"a member behind compares at an older index": {agreeing(func(r *report.Runtime) {
			r.Masters[0].Digests = r.Masters[0].Digests[1:]
		}), 2, 3, "all 3 agree at applied 8,214,902", 0},
		"no index in common": {agreeing(func(r *report.Runtime) {
			r.Masters[0].Digests = []report.Digest{{Index: 1, Digest: "x"}}
		}), 2, 3, "not comparable", 0},
		"one digest only": {agreeing(func(r *report.Runtime) {
			r.Masters[1].Digests, r.Masters[2].Digests = nil, nil
		}), 2, 3, "only hadoop-jindofs-master-0", 0},
		"a learner does not count": {agreeing(func(r *report.Runtime) {
			for i := range r.Masters {
				r.Masters[i].Peers[2].Voter = false
			}
		}), 2, 2, "all 3 agree", 0},
		"no master responds": {agreeing(func(r *report.Runtime) {
			for i := range r.Masters {
				r.Masters[i] = report.Master{Name: r.Masters[i].Name, Error: "timeout"}
			}
		}), 0, 0, "none reported", 0},
		"the newest configuration counts": {agreeing(func(r *report.Runtime) {
			r.Masters[0].ConfigurationIndex--
			r.Masters[0].Peers = r.Masters[0].Peers[:1]
		}), 2, 3, "all 3 agree", 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := Evaluate(test.report)
			if v.Quorum != test.quorum || v.Reachable != test.found {
				t.Errorf("quorum %d, reachable %d, want %d and %d", v.Quorum, v.Reachable, test.quorum, test.found)
			}
			if !strings.Contains(v.Digest, test.digest) {
				t.Errorf("digest %q has no %q", v.Digest, test.digest)
			}
			if len(v.Disagreements) != test.disagreements {
				t.Errorf("disagreements %q, want %d", v.Disagreements, test.disagreements)
			}
		})
	}
}

// silent is a group none of whose masters responds.
func silent() *report.Runtime {
	r := reporttest.Healthy()
	for i := range r.Masters {
		r.Masters[i] = report.Master{Name: r.Masters[i].Name, Error: "timeout"}
	}
	return r
}

// elsewhere is a group in another namespace.
func elsewhere() *report.Runtime {
	r := reporttest.Healthy()
	r.Namespace, r.Name = "vision", "other"
	return r
}

// TestWatch checks that a pipe gets a screen for each change, until the command is
// interrupted.
func TestWatch(t *testing.T) {
	var out clitest.Buffer
	source := &changing{Source: reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy()}}}
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out},
		Getenv:  func(string) string { return "" }, Name: "kubectl jindo",
	}
	o := &statusOptions{session: s, format: output.New(output.Table, output.Wide), watch: true, interval: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.follow(ctx, source, "") }()
	clitest.Eventually(t, "a second screen", func() bool { return strings.Contains(out.String(), "term 19") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if screens := strings.Count(out.String(), "Group "); screens != 2 {
		t.Errorf("%d screens, want one for each of two states:\n%s", screens, out.String())
	}
}

// changing is a source whose term increases once.
type changing struct {
	reporttest.Source
	calls int
}

func (c *changing) Collect(ctx context.Context, ref report.Ref) (*report.Runtime, error) {
	c.calls++
	if c.calls == 5 {
		changed := reporttest.Healthy()
		for i := range changed.Masters {
			changed.Masters[i].Term = 19
		}
		c.Reports = []*report.Runtime{changed}
	}
	return c.Source.Collect(ctx, ref)
}

// electing is a group whose members are all in one term and have no leader.
func electing() *report.Runtime {
	r := reporttest.Leaderless()
	for i := range r.Masters {
		r.Masters[i].Term = 18
	}
	return r
}

func TestCommands(t *testing.T) {
	healthy := func() *reporttest.Source {
		return &reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy()}}
	}
	stopped := reporttest.Healthy()
	stopped.Health = report.Stopped
	masterless := reporttest.Healthy()
	masterless.Masters = nil
	for name, test := range map[string]struct {
		source         *reporttest.Source
		args           string
		code           int
		stdout, stderr string
		transferred    string
	}{
		"status":                        {source: healthy(), args: "status", stdout: "leader hadoop-jindofs-master-1 for 6d"},
		"status of one":                 {source: healthy(), args: "status hbase", stdout: "quorum 2/3"},
		"status as jindo":               {source: healthy(), args: "status --format=jindo", stdout: "peer_id: 127.93.12.11:18006:0\nstate: FOLLOWER\n\n"},
		"status as json":                {source: healthy(), args: "status -o jsonpath={.masters[1].state}", stdout: "LEADER"},
		"another format":                {source: healthy(), args: "status --format=xml", code: clierror.Usage, stderr: "must be jindo"},
		"disagreement":                  {source: &reporttest.Source{Reports: []*report.Runtime{reporttest.Diverged()}}, args: "status", code: clierror.Unhealthy, stdout: "DISAGREE"},
		"no leader":                     {source: &reporttest.Source{Reports: []*report.Runtime{reporttest.Leaderless()}}, args: "status", code: clierror.Unhealthy, stdout: "no master leads in term 18"},
		"an election":                   {source: &reporttest.Source{Reports: []*report.Runtime{electing()}}, args: "status --format=jindo", code: clierror.Unhealthy, stdout: "state: CANDIDATE"},
		"one down":                      {source: &reporttest.Source{Reports: []*report.Runtime{reporttest.Degraded()}}, args: "status", stdout: "tolerates 0 failures"},
		"nothing runs":                  {source: &reporttest.Source{}, args: "status", code: clierror.General, stderr: "no Datasets or JindoRuntimes"},
		"it does not run":               {source: &reporttest.Source{Reports: []*report.Runtime{stopped}}, args: "status", code: clierror.General, stderr: "is not running"},
		"no masters":                    {source: &reporttest.Source{Reports: []*report.Runtime{masterless}}, args: "status", code: clierror.General, stderr: "has no masters"},
		"peers":                         {source: healthy(), args: "list-peers", stdout: "hadoop-jindofs-master-1  127.93.12.12:18006  Voter     true    m1\n"},
		"peers, names":                  {source: healthy(), args: "list-peers -o name", stdout: "hadoop-jindofs-master-0\nhadoop-jindofs-master-1\n"},
		"transfer":                      {source: healthy(), args: "transfer-leader", stdout: "hadoop-jindofs-master-0 leads\n", transferred: "default/hadoop to "},
		"transfer to":                   {source: healthy(), args: "transfer-leader --to hadoop-jindofs-master-2", stdout: "hadoop-jindofs-master-2 leads\n", transferred: "default/hadoop to hadoop-jindofs-master-2"},
		"transfer to an unknown master": {source: healthy(), args: "transfer-leader --to x", code: clierror.Usage, stderr: `--to "x": not a reachable master`},
		"transfer without a quorum": {
			source: &reporttest.Source{Reports: []*report.Runtime{silent()}}, args: "transfer-leader --local", code: clierror.General,
			stderr: "no quorum: 0 of 3 masters are reachable\ntry: kubectl jindo raft status hadoop -n default --local\n",
		},
		"all namespaces": {
			source: &reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy(), elsewhere()}}, args: "status -A",
			stdout: "Group    vision/other ",
		},
		"all namespaces as json": {
			source: &reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy(), elsewhere()}}, args: "status -A -o jsonpath={.items[*].metadata.name}",
			stdout: "hadoop other",
		},
		"all namespaces and a name": {source: healthy(), args: "status -A hadoop", code: clierror.Usage, stderr: "exclude each other"},
		"watch as json":             {source: healthy(), args: "status -w -o json", code: clierror.Usage, stderr: "--watch requires a table"},
		"a typing error":            {source: healthy(), args: "statu", code: clierror.Usage, stderr: "unknown command \"statu\" for \"raft\"\ntry: raft status\n"},
		"an abbreviation":           {source: healthy(), args: "stat", code: clierror.Usage, stderr: "try: raft status\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, err bytes.Buffer
			s := &session.Session{
				Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &err},
				Getenv:  func(string) string { return "" }, Name: "kubectl jindo",
				Source: func(*session.Session) (report.Source, error) { return test.source, nil },
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
			if !strings.Contains(out.String(), test.stdout) {
				t.Errorf("stdout %q has no %q", out.String(), test.stdout)
			}
			if !strings.Contains(err.String(), test.stderr) {
				t.Errorf("stderr %q has no %q", err.String(), test.stderr)
			}
			if got := strings.Join(test.source.Transferred, "|"); got != test.transferred {
				t.Errorf("transferred %q, want %q", got, test.transferred)
			}
		})
	}
}

// partialSource cannot read one of its runtimes.
type partialSource struct {
	*reporttest.Source
	unreadable string
}

func (s partialSource) Collect(ctx context.Context, ref report.Ref) (*report.Runtime, error) {
	if ref.Name == s.unreadable {
		return nil, clierror.Generalf("Secret %s/%s-jindofs-admin not found", ref.Namespace, ref.Name)
	}
	return s.Source.Collect(ctx, ref)
}

// TestUnreadableRuntimeHidesNoOther checks that status -A shows the other runtimes
// and then fails.
func TestUnreadableRuntimeHidesNoOther(t *testing.T) {
	source := partialSource{&reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy(), elsewhere()}}, "hadoop"}
	var out, err bytes.Buffer
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &err},
		Getenv:  func(string) string { return "" }, Name: "kubectl jindo",
		Source: func(*session.Session) (report.Source, error) { return source, nil },
	}
	cmd := New(s)
	s.AddFlags(cmd.PersistentFlags())
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"status", "-A"})
	failed := cmd.ExecuteContext(t.Context())
	if failed == nil || !strings.Contains(failed.Error(), "hadoop-jindofs-admin not found") || clierror.Code(failed) != clierror.General {
		t.Errorf("error %v", failed)
	}
	if !strings.Contains(out.String(), "Group    vision/other ") {
		t.Errorf("stdout %q", out.String())
	}
}
