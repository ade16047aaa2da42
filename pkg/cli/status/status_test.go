package status

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/test/cli/golden"
	"github.com/jindo-io/jindo/test/cli/reporttest"
)

var update = golden.Flag()

// screens returns the screens of the goldens: several widths, with and without colour
// and Unicode.
func screens() map[string]iostreams.Screen {
	return map[string]iostreams.Screen{
		"80-ascii":   {Width: 80},
		"80-colour":  {Width: 80, Colour: true, Unicode: true},
		"100-plain":  {Width: 100, Unicode: true},
		"120-plain":  {Width: 120, Unicode: true},
		"120-colour": {Width: 120, Colour: true, Unicode: true},
		"160-plain":  {Width: 160, Unicode: true},
		"160-colour": {Width: 160, Colour: true, Unicode: true},
		"pipe":       {Unicode: true},
	}
}

func TestDashboard(t *testing.T) {
	for name, r := range map[string]*report.Runtime{
		"healthy": reporttest.Healthy(), "degraded": reporttest.Degraded(), "unbound": reporttest.Unbound(), "leaderless": reporttest.Leaderless(),
		"cluster": reporttest.InCluster(), "refused": reporttest.Refused(), "unserved": reporttest.Unserved(), "chinese": reporttest.Chinese(),
	} {
		for screenName, screen := range screens() {
			t.Run(name+"/"+screenName, func(t *testing.T) {
				var out bytes.Buffer
				if err := Draw(&out, screen, r, false); err != nil {
					t.Fatal(err)
				}
				golden.Compare(t, *update, fmt.Sprintf("%s.%s.txt", name, screenName), out.String())
				checkScreen(t, out.String(), screen)
			})
		}
	}
}

// checkScreen checks what applies to every screen: its width, no trailing spaces, and
// no colour or Unicode where the screen has none.
func checkScreen(t *testing.T, text string, screen iostreams.Screen) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if screen.Width > 0 && iostreams.Width(line) > screen.Width && !strings.Contains(line, "unreachable: ") && !strings.HasPrefix(line, "Next ") {
			t.Errorf("line of %d columns on a screen of %d: %q", iostreams.Width(line), screen.Width, line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("line ends with a space: %q", line)
		}
		if !screen.Colour && strings.Contains(line, "\x1b") {
			t.Errorf("colour on a screen without colour: %q", line)
		}
		for _, r := range line {
			if !screen.Unicode && r > 127 && !unicode.Is(unicode.Han, r) && r != '：' { // names are printed unchanged
				t.Errorf("%q is not ASCII: %q", r, line)
			}
		}
	}
}

// TestHealthKeepsTheCause: however narrow the screen, every word of every problem is
// printed.
func TestHealthKeepsTheCause(t *testing.T) {
	for _, width := range []int{40, 60, 80, 100, 120, 160, 0} {
		for _, r := range []*report.Runtime{reporttest.Refused(), reporttest.Degraded(), reporttest.InCluster()} {
			var out bytes.Buffer
			if err := Draw(&out, iostreams.Screen{Width: width, Unicode: true}, r, false); err != nil {
				t.Fatal(err)
			}
			words := strings.Join(strings.Fields(out.String()), "")
			for _, problem := range r.Problems {
				if !strings.Contains(words, strings.Join(strings.Fields(problem), "")) {
					t.Errorf("width %d: %q is not complete in\n%s", width, problem, &out)
				}
			}
		}
	}
}

func TestWideDashboard(t *testing.T) {
	var out bytes.Buffer
	if err := Draw(&out, iostreams.Screen{Width: 80, Unicode: true}, reporttest.Healthy(), true); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, *update, "healthy.wide.txt", out.String())
}

// TestWideNamesKeepColumns: a character of two columns does not move the following
// columns.
func TestWideNamesKeepColumns(t *testing.T) {
	var out bytes.Buffer
	reports := []report.Runtime{*reporttest.Chinese(), *reporttest.Healthy()}
	if err := DrawRows(&out, iostreams.Screen{Width: 120, Unicode: true}, reports, RowOptions{}); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, *update, "rows-chinese.txt", out.String())
	at := -1
	for line := range strings.Lines(out.String()) {
		before, _, found := strings.Cut(line, "Bound")
		if !found {
			continue
		}
		if column := iostreams.Width(before); at < 0 {
			at = column
		} else if column != at {
			t.Errorf("the phase is in column %d and in %d:\n%s", at, column, out.String())
		}
	}
}

func TestRows(t *testing.T) {
	healthy, degraded, unbound := reporttest.Healthy(), reporttest.Degraded(), reporttest.Unbound()
	degraded.Namespace = "vision"
	reports := []report.Runtime{*healthy, *unbound, *degraded}
	for screenName, screen := range screens() {
		t.Run(screenName, func(t *testing.T) {
			var out bytes.Buffer
			if err := DrawRows(&out, screen, reports, RowOptions{Namespaces: true}); err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, *update, "rows."+screenName+".txt", out.String())
			checkScreen(t, out.String(), screen)
		})
	}
}

// run runs the command with a source and returns what it printed.
func run(t *testing.T, source report.Source, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &err},
		Getenv:  func(string) string { return "" }, Name: "kubectl jindo",
		Source: func(*session.Session) (report.Source, error) { return source, nil },
	}
	cmd := New(s)
	s.AddFlags(cmd.Flags())
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetErr(&err)
	cmd.SetArgs(args)
	failed := cmd.ExecuteContext(t.Context())
	clierror.Print(&err, failed)
	return out.String(), err.String(), clierror.Code(failed)
}

func TestCommand(t *testing.T) {
	one := &reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy()}}
	two := &reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy(), reporttest.Unbound()}}
	degraded := &reporttest.Source{Reports: []*report.Runtime{reporttest.Degraded()}}
	vision := reporttest.Healthy()
	vision.Namespace = "vision"
	elsewhere := &reporttest.Source{Reports: []*report.Runtime{vision}}
	for name, test := range map[string]struct {
		source         *reporttest.Source
		args           string
		code           int
		stdout, stderr string
	}{
		"the only one is a dashboard":    {source: one, stdout: "Masters"},
		"by the dataset's name":          {source: one, args: "hbase", stdout: "default/hadoop"},
		"by the runtime's name":          {source: one, args: "hadoop", stdout: "default/hadoop"},
		"several are rows":               {source: two, stdout: "NAME"},
		"rows without titles":            {source: two, args: "--no-headers", stdout: "hadoop  hbase"},
		"one of several is a dashboard":  {source: two, args: "lonely", stdout: "none is bound"},
		"none":                           {source: &reporttest.Source{}, stderr: "no Datasets or JindoRuntimes found"},
		"not found":                      {source: one, args: "other", code: clierror.General, stderr: `dataset or runtime "other" not found`},
		"found in another namespace":     {source: elsewhere, args: "hbase", code: clierror.General, stderr: "add -n vision"},
		"in its namespace":               {source: elsewhere, args: "hbase -n vision", stdout: "vision/hadoop"},
		"a name in all namespaces":       {source: one, args: "hbase -A", code: clierror.Usage, stderr: "--all-namespaces cannot be used with the name hbase"},
		"by type and name":               {source: one, args: "dataset/hbase", stdout: "default/hadoop"},
		"a timeout without until":        {source: one, args: "-w --timeout=1s", code: clierror.Usage, stderr: "--timeout needs --until"},
		"all namespaces":                 {source: elsewhere, args: "-A", stdout: "vision"},
		"json":                           {source: one, args: "-o json", stdout: `"apiVersion": "cli.jindo.io/v1alpha1"`},
		"json of several is a list":      {source: two, args: "-o json", stdout: `"kind": "RuntimeReportList"`},
		"yaml":                           {source: one, args: "-o yaml", stdout: "kind: RuntimeReport"},
		"names":                          {source: two, args: "-o name", stdout: "jindoruntime.data.fluid.io/hadoop\njindoruntime.data.fluid.io/lonely\n"},
		"jsonpath":                       {source: one, args: "-o jsonpath={.health}", stdout: "Healthy"},
		"go-template":                    {source: one, args: "-o go-template={{.dataset.name}}", stdout: "hbase"},
		"wide":                           {source: one, args: "-o wide", stdout: "WORKER"},
		"no such format":                 {source: one, args: "-o xml", code: clierror.Usage, stderr: `unknown output format "xml"`},
		"no such template":               {source: one, args: "-o jsonpath=", code: clierror.Usage, stderr: "needs a template"},
		"exit code when healthy":         {source: one, args: "--exit-code", stdout: "Healthy"},
		"exit code when not":             {source: degraded, args: "--exit-code", code: clierror.Unhealthy, stdout: "Degraded"},
		"no exit code by default":        {source: degraded, stdout: "Degraded"},
		"two names":                      {source: one, args: "a b", code: clierror.Usage, stderr: "at most 1 argument"},
		"until without watch":            {source: one, args: "--until=healthy", code: clierror.Usage, stderr: "--until needs --watch"},
		"until something else":           {source: one, args: "-w --until=sunset", code: clierror.Usage, stderr: "must be healthy"},
		"watch for machines":             {source: one, args: "-w -o json", code: clierror.Usage, stderr: "--watch prints screens only"},
		"watch until healthy":            {source: one, args: "-w --until=healthy", stdout: "Healthy"},
		"an invalid interval":            {source: one, args: "-w --interval=0s", code: clierror.Usage, stderr: "above zero"},
		"next on this machine":           {source: degraded, args: "--local", stdout: "Next      kubectl jindo local down hadoop   # then correct the mount or its credentials"},
		"next in a cluster":              {source: degraded, stdout: "Next      kubectl jindo check hbase\n"},
		"sorted":                         {source: two, args: "--sort-by=health --no-headers", stdout: "hadoop  hbase"},
		"an unknown sort key":            {source: two, args: "--sort-by=luck", code: clierror.Usage, stderr: "must be one of name, health"},
		"labels on this machine":         {source: one, args: "-l a=b", code: clierror.Usage, stderr: "cannot be used with --local"},
		"silent targets, at the end":     {source: degraded, stdout: "2 of 7 targets unreachable: hadoop-jindofs-master-0 (connection refused); "},
		"a source that fails":            {source: &reporttest.Source{Err: errors.New("broken")}, code: clierror.General, stderr: "broken"},
		"colour of an unknown kind":      {source: one, args: "--color=sometimes", code: clierror.Usage, stderr: "must be auto, always or never"},
		"colour into a pipe with a flag": {source: one, args: "--color=always", stdout: "\x1b[32m+\x1b[0m Healthy"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := run(t, test.source, strings.Fields(test.args)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d (stderr %q)", code, test.code, stderr)
			}
			if !strings.Contains(stdout, test.stdout) {
				t.Errorf("stdout %q has no %q", stdout, test.stdout)
			}
			if !strings.Contains(stderr, test.stderr) {
				t.Errorf("stderr %q has no %q", stderr, test.stderr)
			}
		})
	}
}

// broken fails for one of two runtimes.
type broken struct{ *reporttest.Source }

func (b broken) Collect(ctx context.Context, ref report.Ref) (*report.Runtime, error) {
	if ref.Name == "lonely" {
		return nil, errors.New("the topology cannot be read")
	}
	return b.Source.Collect(ctx, ref)
}

func TestFailureDoesNotHideOtherRuntimes(t *testing.T) {
	source := broken{&reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy(), reporttest.Unbound()}}}
	stdout, stderr, code := run(t, source)
	if code != clierror.OK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"hadoop", "+ Healthy", "x Unavailable", "default/lonely (the topology cannot be read)"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("stdout %q has no %q", stdout, want)
		}
	}
}

// flapping is degraded at first, then healthy.
type flapping struct {
	*reporttest.Source
	collections int
}

func (f *flapping) Collect(context.Context, report.Ref) (*report.Runtime, error) {
	f.collections++
	if f.collections < 3 {
		return reporttest.Degraded(), nil
	}
	return reporttest.Healthy(), nil
}

func TestWatchWritesAScreenOnlyWhenItHasChanged(t *testing.T) {
	source := &flapping{Source: &reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy()}}}
	stdout, stderr, code := run(t, source, "-w", "--until=healthy", "--interval=1ms")
	if code != clierror.OK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if source.collections != 3 || strings.Count(stdout, "Dataset ") != 2 {
		t.Errorf("%d collections gave %d screens, want 3 and 2", source.collections, strings.Count(stdout, "Dataset "))
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	o := &options{interval: time.Hour, session: &session.Session{
		Streams: genericiooptions.IOStreams{Out: &bytes.Buffer{}}, Getenv: func(string) string { return "" },
	}}
	ctx, cancel := context.WithCancel(t.Context())
	collect := func(context.Context) (snapshot, error) {
		cancel()
		return snapshot{}, nil
	}
	if err := (&watcher{options: o, collect: collect}).run(ctx, nil); err != nil {
		t.Error(err)
	}
}

func TestClip(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		height int
		want   string
	}{
		"fits":     {"a\nb\n", 5, "a\nb"},
		"too long": {"a\nb\nc\n", 2, "a\nb"},
		"no limit": {"a\nb\nc\n", 0, "a\nb\nc"},
	} {
		if got := clip(test.text, test.height); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// TestMasterWithoutAPod: the pod of one master may not exist.
func TestMasterWithoutAPod(t *testing.T) {
	r := reporttest.InCluster()
	for missing := range r.Masters {
		pod := r.Masters[missing].Pod
		r.Masters[missing].Pod = nil
		var drawn bytes.Buffer
		if err := Draw(&drawn, iostreams.Screen{Width: 160, Unicode: true}, r, true); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(drawn.String(), r.Masters[missing].Name) || !strings.Contains(drawn.String(), "NODE") {
			t.Errorf("without the pod of %s:\n%s", r.Masters[missing].Name, &drawn)
		}
		r.Masters[missing].Pod = pod
	}
}
