package inject_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/inject/injecttest"
	"github.com/jindo-io/jindo/test/cli/golden"
)

var update = golden.Flag()

func request(c injecttest.Case) inject.Request {
	return inject.Request{Pod: c.Pod, Namespace: injecttest.Namespace, Image: injecttest.Image, Datasets: injecttest.Datasets(c.Objects)}
}

func TestGoldens(t *testing.T) {
	for _, c := range injecttest.Load(t, "testdata") {
		t.Run(c.Name, func(t *testing.T) {
			result, err := inject.Plan(request(c))
			golden.Compare(t, *update, filepath.Join(c.Name, "outcome.txt"), outcome(result, err))
			if err != nil {
				for _, name := range []string{"out.yaml", "patch.json"} {
					if _, err := os.Stat(filepath.Join(c.Dir, name)); err == nil {
						t.Errorf("%s exists, and the pod is refused", name)
					}
				}
				return
			}
			out := apply(t, c.Pod, result)
			golden.Compare(t, *update, filepath.Join(c.Name, "patch.json"), indent(t, result.Operations))
			golden.Compare(t, *update, filepath.Join(c.Name, "out.yaml"), asYAML(t, out))
			again := request(c)
			again.Pod = out
			if second, err := inject.Plan(again); err != nil || len(second.Operations) > 0 {
				t.Errorf("the second pass: %+v, error %v", second, err)
			}
			parsed, err := inject.Parse(c.Pod)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // planning changes nothing in what was parsed
				if same, err := parsed.Plan(request(c)); err != nil || indent(t, same.Operations) != indent(t, result.Operations) {
					t.Errorf("the same request had another result: %v", err)
				}
			}
			if claims, err := inject.Claims(c.Pod); err != nil || !slices.Equal(claims, parsed.Claims()) {
				t.Errorf("claims %q and %q, error %v", claims, parsed.Claims(), err)
			}
		})
	}
}

func outcome(result *inject.Result, err error) string {
	if err != nil {
		var reason inject.Reason
		if refused, ok := err.(*inject.Refusal); ok { //nolint:errorlint // it is what Plan promises
			reason = refused.Reason
		}
		return fmt.Sprintf("Refused %s: %v\n", reason, err)
	}
	text := fmt.Sprintf("%s %s: %s\n", result.Outcome, result.Reason, result.Message)
	for _, w := range result.Warnings {
		text += "warning: " + w + "\n"
	}
	return text
}

func apply(t *testing.T, pod []byte, result *inject.Result) []byte {
	t.Helper()
	out, err := inject.Apply(pod, result.Operations)
	if err != nil {
		t.Fatalf("applying %s: %v", indent(t, result.Operations), err)
	}
	return out
}

func indent(t *testing.T, operations []inject.Operation) string {
	t.Helper()
	if operations == nil {
		operations = []inject.Operation{}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(operations); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asYAML(t *testing.T, pod []byte) string {
	t.Helper()
	out, err := yaml.JSONToYAML(pod)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestRemove checks that removing the sidecar restores the original pod.
func TestRemove(t *testing.T) {
	for _, c := range injecttest.Load(t, "testdata") {
		if c.Out == nil || strings.HasPrefix(c.Name, "renew-") {
			continue // the input is the result of an earlier injection
		}
		t.Run(c.Name, func(t *testing.T) {
			result, err := inject.Remove(c.Out)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := plain(t, apply(t, c.Out, result)), plain(t, c.Pod); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%v\nwant\n%v", got, want)
			}
		})
	}
}

// plain decodes a pod. Absent members, null and empty lists are treated alike.
func plain(t interface{ Fatal(...any) }, pod []byte) map[string]any {
	var value map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(pod, &value); err != nil {
		t.Fatal(err)
	}
	for path, names := range map[string][]string{"metadata": {"annotations"}, "spec": {"initContainers", "volumes", "imagePullSecrets"}} {
		object, _ := value[path].(map[string]any)
		for _, name := range names {
			if v := reflect.ValueOf(object[name]); object[name] == nil || (v.Kind() == reflect.Map || v.Kind() == reflect.Slice) && v.Len() == 0 {
				delete(object, name)
			}
		}
	}
	return value
}

// TestValid checks that the result is a valid pod with one sidecar.
func TestValid(t *testing.T) {
	for _, c := range injecttest.Load(t, "testdata") {
		if c.Out == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			var pod corev1.Pod
			if err := json.Unmarshal(c.Out, &pod); err != nil {
				t.Fatal(err)
			}
			sidecars := 0
			for _, ic := range pod.Spec.InitContainers {
				if ic.Name == "jindo-fuse" {
					sidecars++
				}
			}
			hash := pod.Annotations["serverless.fluid.io/injection"]
			if injected := hash != "" && hash != "none"; injected != (sidecars == 1) || sidecars > 1 {
				t.Errorf("annotation %q with %d sidecars", hash, sidecars)
			}
		})
	}
}
