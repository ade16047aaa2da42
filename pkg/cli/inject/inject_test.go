package inject

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/inject/injecttest"
	"github.com/jindo-io/jindo/test/cli/clitest"
)

const cases = "../../kube/inject/testdata"

type result struct {
	code           int
	stdout, stderr string
}

// run runs a command in namespace vision. A nil server fails on requests.
func run(t *testing.T, server *clitest.Server, stdin string, env map[string]string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &stdout, ErrOut: &stderr},
		Getenv:  func(name string) string { return env[name] }, Name: "kubectl jindo",
	}
	root := &cobra.Command{Use: "kubectl-jindo", SilenceErrors: true, SilenceUsage: true}
	s.AddFlags(root.PersistentFlags())
	s.Namespace = injecttest.Namespace
	if server == nil {
		server = clitest.New(t)
		defer func() {
			if requests := server.Requests(); len(requests) > 0 {
				t.Errorf("requests to the API server: %+v", requests)
			}
		}()
	}
	server.Use(t, s)
	root.AddCommand(New(s), NewUninject(s))
	root.SetArgs(args)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	err := root.ExecuteContext(context.Background())
	clierror.Print(&stderr, err)
	return result{clierror.Code(err), stdout.String(), stderr.String()}
}

func same(t *testing.T, got string, want []byte) bool {
	t.Helper()
	var a, b any
	raw, err := yaml.YAMLToJSON([]byte(got))
	if err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(raw, &a) != nil || json.Unmarshal(want, &b) != nil {
		t.Fatalf("invalid JSON: %s", got)
	}
	return reflect.DeepEqual(a, b)
}

// TestCases checks that the command returns the result of the webhook's function for
// every case of its testdata.
func TestCases(t *testing.T) {
	for _, c := range injecttest.Load(t, cases) {
		t.Run(c.Name, func(t *testing.T) {
			server := clitest.New(t, c.Objects...)
			got := run(t, server, "", nil, "inject", "-f", filepath.Join(c.Dir, "in.yaml"), "--image", injecttest.Image)
			if c.Out == nil {
				_, why, _ := strings.Cut(strings.TrimSpace(c.Outcome), ": ")
				if got.code != clierror.General || got.stdout != "" || !strings.Contains(got.stderr, why) {
					t.Errorf("got %+v", got)
				}
				return
			}
			if got.code != 0 || !same(t, got.stdout, c.Out) {
				t.Errorf("got %+v", got)
			}
			for line := range strings.Lines(c.Outcome) {
				if _, why, _ := strings.Cut(line, ": "); !strings.Contains(got.stderr, strings.TrimSpace(why)) {
					t.Errorf("standard error lacks %q:\n%s", why, got.stderr)
				}
			}
		})
	}
}

const workload = `# A comment.
apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        metadata:
          labels:
            serverless.fluid.io/inject: "true" # its data
        spec:
          restartPolicy: Never
          containers:
          - name: train # the one
            image: train:1
            args: ["on", 'yes']
            volumeMounts:
            - {name: data, mountPath: /data}
          volumes:
          - name: data
            persistentVolumeClaim:
              claimName: imagenet
---
# kept   byte for byte
apiVersion: v1
kind:   ConfigMap
metadata: {name: x}
data: {script: "a: 1"}
`

func datasets(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(cases, "plain", "datasets.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestWorkloadsKeepTheirText(t *testing.T) {
	file := filepath.Join(t.TempDir(), "datasets.yaml")
	if err := os.WriteFile(file, []byte(datasets(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	in := run(t, nil, workload, nil, "inject", "-f", "-", "-f", file, "--offline")
	if in.code != 0 {
		t.Fatalf("got %+v", in)
	}
	injected, rest, _ := strings.Cut(in.stdout, "---\n")
	for _, want := range []string{"# A comment.\n", "# its data\n", "# the one\n", `args: ["on", 'yes']`, "initContainers:\n          - name: jindo-fuse\n", "volumes: vision-imagenet\n"} {
		if !strings.Contains(injected, want) {
			t.Errorf("no %q in\n%s", want, injected)
		}
	}
	_, configMap, _ := strings.Cut(workload, "---\n")
	if !strings.HasPrefix(rest, configMap) {
		t.Errorf("the ConfigMap was changed to\n%s", rest)
	}
	again := run(t, nil, in.stdout, nil, "inject", "-f", "-", "--offline")
	if again.code != 0 || again.stdout != in.stdout {
		t.Errorf("injected twice: %+v", again)
	}
	out := run(t, nil, injected+"---\n"+configMap, nil, "uninject", "-f", "-")
	if out.code != 0 || out.stdout != workload {
		t.Errorf("uninject: %d\n%s\n%s", out.code, out.stdout, out.stderr)
	}
	diff := run(t, nil, workload+"---\n"+datasets(t), nil, "inject", "-f", "-", "--offline", "--diff")
	if diff.code != 0 || !strings.Contains(diff.stdout, "+          - name: jindo-fuse\n") || strings.Contains(diff.stdout, "ConfigMap") {
		t.Errorf("--diff: %+v", diff)
	}
}

func TestFormsOfInput(t *testing.T) {
	pod := func(extra string) string {
		return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"serverless.fluid.io/inject":"true"}},"spec":{"containers":[{"name":"c","volumeMounts":[{"name":"d","mountPath":"/d"}]}],"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"imagenet"}}]` + extra + `}}`
	}
	deployment := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  base: &x {a: 1}\n  other: *x\n  template: " + pod("") + "\n"
	for name, test := range map[string]struct {
		in, stdout, stderr string
		code               int
	}{
		"JSON":                    {pod(""), `"restartPolicy": "Always"`, "pod/p: sidecar", 0},
		"a list in JSON":          {`{"apiVersion":"v1","kind":"List","items":[` + pod("") + `]}`, `"restartPolicy": "Always"`, "pod/p: sidecar", 0},
		"a document with anchors": {deployment, "restartPolicy: Always", "deployment/d: sidecar", 0},
		"empty input":             {"", "", "0 pods changed", 0},
		"comments":                {"# only\n---\n# comments\n", "# only\n---\n# comments\n", "0 pods changed", 0},
		"an unknown kind":         {"apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nmetadata: {name: x}\nspec: {template: {spec: {}}}\n", "PyTorchJob", "0 pods changed", 0},
		"invalid YAML":            {"a: [", "", "standard input: invalid YAML", 2},
		"not an object":           {"- 1\n- 2\n", "", "not a Kubernetes object", 2},
		"a spec that is a number": {`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":5}`, "", "pod/p: parse the pod: spec cannot be a number", 1},
		"an unlabelled pod":       {strings.ReplaceAll(pod(""), "true", "false"), `"serverless.fluid.io/inject":"false"`, "does not request a sidecar", 0},
		"an invalid Dataset":      {"apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\nmetadata: {name: x}\nspec: 5\n---\n" + pod(""), "", "dataset/x", 2},
	} {
		t.Run(name, func(t *testing.T) {
			in := test.in
			if test.code == 0 && in != "" && !strings.HasPrefix(in, "{") && !strings.HasPrefix(in, "#") {
				in += "---\n" + datasets(t)
			}
			server := clitest.New(t, injecttest.Load(t, cases)[0].Objects...)
			got := run(t, server, in, nil, "inject", "-f", "-")
			if got.code != test.code || !strings.Contains(got.stdout, test.stdout) || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("got %+v", got)
			}
			if got.code != 0 && got.stdout != "" {
				t.Errorf("the command failed and printed %q", got.stdout)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"inject"}, {"uninject"}, {"inject", "-f", "missing.yaml"}, {"inject", "train"}, {"inject", "explain"}} {
		if got := run(t, nil, "", nil, args...); got.code != clierror.Usage || got.stdout != "" {
			t.Errorf("%q: got %+v", args, got)
		}
	}
}
