package suggestions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/cluster"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/root"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/test/cli/clitest"
	"github.com/jindo-io/jindo/test/cli/reporttest"
)

// environment is what commands run against.
type environment struct {
	name string
	// kubeconfig of a fake cluster, or "".
	kubeconfig string
	// local are the reports of this machine.
	local []*report.Runtime
	// failing makes transfers of leadership fail.
	failing bool
}

// machine is a source of local reports.
type machine struct {
	reporttest.Source
	failing bool
}

// Transfer fails where the environment requires it.
func (m *machine) Transfer(ctx context.Context, ref report.Ref, to string) (string, error) {
	if m.failing {
		return "", errors.New("no master is caught up")
	}
	return m.Source.Transfer(ctx, ref, to)
}

// run runs the plugin and returns its exit code and all that it printed.
func (e environment) run(ctx context.Context, args []string) (code int, output string) {
	var out bytes.Buffer
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out},
		Getenv:  func(string) string { return "" }, Name: program,
		Source: func(s *session.Session) (report.Source, error) {
			if s.Local {
				return &machine{reporttest.Source{Reports: e.local}, e.failing}, nil
			}
			return cluster.New(s)
		},
	}
	global := []string{"--request-timeout=20s"}
	if e.kubeconfig != "" {
		global = append(global, "--kubeconfig="+e.kubeconfig)
	}
	for _, arg := range args {
		if inside, is := strings.CutPrefix(arg, "~/"); is { // as shells expand it
			arg = filepath.Join(os.Getenv("HOME"), inside)
		}
		global = append(global, arg)
	}
	code = root.Run(ctx, s, global)
	return code, out.String()
}

// environments returns the situations that users meet: no cluster, an empty one,
// the tutorial's pair, and local runtimes in several states.
func environments(t *testing.T) []environment {
	t.Helper()
	start := func(name, objects string) string {
		server := clitest.New(t)
		if err := server.PutYAML([]byte(objects)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := server.Kubeconfig(path, "default"); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stopped := reporttest.Healthy()
	stopped.Health = report.Stopped
	pair := start("pair", pairYAML)
	return []environment{
		{name: "no kubeconfig"},
		{name: "empty cluster", kubeconfig: start("empty", "")},
		{name: "pair", kubeconfig: pair, local: []*report.Runtime{reporttest.Healthy()}},
		{name: "broken", kubeconfig: pair, local: []*report.Runtime{reporttest.Leaderless()}, failing: true},
		{name: "stopped", kubeconfig: pair, local: []*report.Runtime{stopped}},
	}
}

const pairYAML = `
apiVersion: data.fluid.io/v1alpha1
kind: Dataset
metadata: {name: hbase}
spec:
  mounts: [{mountPoint: "oss://test-bucket/", name: hadoop, options: {fs.oss.endpoint: oss-cn-beijing.aliyuncs.com}}]
status: {phase: Bound, runtimes: [{name: hadoop, namespace: default}]}
---
apiVersion: data.fluid.io/v1alpha1
kind: JindoRuntime
metadata: {name: hadoop, annotations: {data.fluid.io/dataset: hbase}}
spec:
  replicas: 1
  master: {replicas: 1}
  tieredstore: {levels: [{mediumtype: HDD, path: /mnt/disk1, quota: 2G}]}
status:
  conditions: [{type: Ready, status: "False", reason: NotReady, message: "masters: 0 of 1 are ready"}]
`

// TestRun runs the examples of help, and every command in every environment. The
// commands and flags that the output suggests must exist.
func TestRun(t *testing.T) {
	workspace(t)
	lines := fromHelp(newTree())
	for _, args := range everyCommand(newTree()) {
		lines = append(lines, command{where: "every command", text: program + " " + args})
	}
	for _, e := range environments(t) {
		suggested := 0
		for _, c := range lines {
			args, err := arguments(c.text)
			if err != nil {
				t.Fatalf("%s: %v", c.text, err)
			}
			if endless(args) {
				continue
			}
			_, output := e.run(t.Context(), args)
			all := suggestions(output)
			suggested += len(all)
			for _, text := range all {
				if err := accept(args, text); err != nil {
					t.Errorf("%s: %s: %s prints\n\t%s\n\t%v", e.name, c.where, c.text, text, err)
				}
			}
		}
		t.Logf("%s: %d commands printed %d suggestions", e.name, len(lines), suggested)
		if e.name != "pair" && suggested < 5 {
			t.Errorf("%s: only %d suggestions were printed", e.name, suggested)
		}
	}
}

// TestExamples runs the examples of help and documents where a pair runs: none may
// be refused for its arguments.
func TestExamples(t *testing.T) {
	lines := append(fromHelp(newTree()), fromDocuments(t)...)
	workspace(t)
	e := environments(t)[2]
	for _, c := range lines {
		if c.named {
			continue
		}
		args, err := arguments(c.text)
		if err != nil || endless(args) {
			continue
		}
		if found, err := parse(args); err == nil && found.Flags().Lookup("yes") != nil {
			args = append(args, "--yes") // there is no terminal to confirm at
		}
		if code, output := e.run(t.Context(), args); (code == clierror.Usage) != c.refused {
			t.Errorf("%s: %s\n%s", c.where, c.text, output)
		}
	}
}

// workspace changes to a directory with the files that examples name.
func workspace(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	dataset, runtime, _ := strings.Cut(pairYAML, "---\n")
	for name, text := range map[string]string{
		"dataset.yaml": dataset, "runtime.yaml": runtime,
		"pod.yaml":        "apiVersion: v1\nkind: Pod\nmetadata: {name: train, labels: {data.fluid.io/inject: \"true\"}}\nspec:\n  containers: [{name: c, image: i}]\n",
		"credentials":     "accessKeyId: a\naccessKeySecret: b\n",
		"credentials.txt": "accessKeyId: a\naccessKeySecret: b\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.Mkdir(filepath.Join(home, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	keys := "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
	if err := os.WriteFile(filepath.Join(home, ".aws", "credentials"), []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("overlays/production", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"dataset.yaml": dataset, "kustomization.yaml": "resources: [dataset.yaml]\n"} {
		if err := os.WriteFile(filepath.Join("overlays/production", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, alias := range []string{"train.yaml", "deployment.yaml", "deploy.yaml", "job.yaml"} {
		if err := os.Symlink("pod.yaml", alias); err != nil {
			t.Fatal(err)
		}
	}
}

// everyCommand returns an invocation of every command: without arguments, with a
// name that exists and with one that does not, and with --local where it may be.
func everyCommand(c *cobra.Command) []string {
	var found []string
	for _, sub := range c.Commands() {
		if sub.Hidden {
			continue
		}
		found = append(found, everyCommand(sub)...)
	}
	path := strings.TrimSpace(strings.TrimPrefix(c.CommandPath(), program))
	for _, tail := range []string{"", " hadoop", " nonesuch", " datasets nonesuch", " --unknown", " -o unknown", " hadoop --to=hadoop-jindofs-master-9"} {
		found = append(found, path+tail)
		if c.Flags().Lookup("local") != nil {
			found = append(found, path+tail+" --local")
		}
	}
	return found
}

// endless reports whether a command waits, starts processes or reads a terminal.
func endless(args []string) bool {
	line := strings.Join(args, " ")
	return slices.Contains(args, "-w") || slices.Contains(args, "--credentials=prompt") || slices.Contains(args, "--watch") || strings.HasPrefix(line, "local up") ||
		strings.Contains(line, "--wait") || strings.HasPrefix(line, "completion")
}

var (
	suggestion = regexp.MustCompile(`(?m)^(?:try|hint): (.*)$`)
	next       = regexp.MustCompile(`(?m)^Next +(kubectl jindo .*)$`)
	flag       = regexp.MustCompile(`(?:^|[\s"(])(--?[a-z][a-z-]*)\b`)
)

// suggestions returns what the output suggests, a line each.
func suggestions(output string) []string {
	var found []string
	for _, pattern := range []*regexp.Regexp{suggestion, next} {
		for _, match := range pattern.FindAllStringSubmatch(output, -1) {
			found = append(found, match[1])
		}
	}
	return found
}

// accept checks a suggestion that a command printed: a command line of the
// plugin as a whole, and flags alone against the command itself. Suggestions of
// a command that ran with --local keep it.
func accept(ran []string, text string) error {
	local := slices.Contains(ran, "--local")
	if at := strings.Index(text, program); at >= 0 {
		line := text[at:]
		if at > 0 {
			line, _, _ = strings.Cut(line, `"`)
		}
		return check(command{text: line, local: local})
	}
	if other := regexp.MustCompile(`\b(kubectl|export|ln|make|jindo) `).FindStringIndex(text); other != nil {
		text = text[:other[0]]
	}
	tree := newTree()
	invoked, _, err := tree.Find(ran)
	if err != nil {
		return nil // an unknown command has no flags
	}
	for _, match := range flag.FindAllStringSubmatch(text, -1) {
		name := strings.TrimLeft(match[1], "-")
		defined := lookup(invoked.Flags(), name) || lookup(tree.PersistentFlags(), name)
		if !defined {
			return fmt.Errorf("%s has no flag %s", invoked.CommandPath(), match[1])
		}
	}
	return nil
}

func lookup(flags *pflag.FlagSet, name string) bool {
	return name == "help" || flags.Lookup(name) != nil || len(name) == 1 && flags.ShorthandLookup(name) != nil
}
