package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/plan"
)

const pair = `apiVersion: data.fluid.io/v1alpha1
kind: Dataset
metadata: {name: hbase}
spec:
  mounts:
  - mountPoint: oss://b/
    name: hadoop
    options: {fs.oss.endpoint: e}
    encryptOptions:
    - {name: fs.oss.accessKeyId, valueFrom: {secretKeyRef: {name: keys, key: id}}}
    - {name: fs.oss.accessKeySecret, valueFrom: {secretKeyRef: {name: keys, key: secret}}}
---
apiVersion: data.fluid.io/v1alpha1
kind: JindoRuntime
metadata: {name: hadoop, annotations: {data.fluid.io/dataset: hbase}}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {id: AK}
data: {secret: U0s=}
`

func read(t *testing.T, text, namespace string) (*Set, error) {
	t.Helper()
	return Read(t.Context(), Options{Sources: Sources{Files: []string{"-"}}, Stdin: strings.NewReader(text), Namespace: namespace, DefaultNamespace: "default"})
}

func TestReadAndResolve(t *testing.T) {
	set, err := read(t, pair, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Datasets) != 1 || len(set.Runtimes) != 1 || len(set.Secrets) != 1 || len(set.Objects) != 3 || set.Datasets[0].Namespace != "default" {
		t.Fatalf("got %+v", set)
	}
	if set.Runtimes[0].Spec.Replicas != nil {
		t.Error("defaults changed the object")
	}
	p, err := plan.BuildLocal(set.Datasets[0], set.Runtimes[0])
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := set.Credentials(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := credentials["hadoop"]; got["fs.oss.accessKeyId"] != "AK" || got["fs.oss.accessKeySecret"] != "SK" {
		t.Errorf("got %v", got)
	}
}

func TestCredentialsNotFound(t *testing.T) {
	for name, test := range map[string]struct{ old, new, want string }{
		"no Secret":          {"name: keys}\nstringData", "name: others}\nstringData", `Secret "keys", which is in none of the manifests`},
		"another namespace":  {"{name: keys}\nstringData", "{name: keys, namespace: vision}\nstringData", "none of the manifests"},
		"no key":             {"{id: AK}", "{}", "has no such key"},
		"a key, but not all": {"data: {secret: U0s=}", "", `key "secret" of Secret "keys", which has no such key`},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := read(t, strings.Replace(pair, test.old, test.new, 1), "")
			if err != nil {
				t.Fatal(err)
			}
			p, err := plan.BuildLocal(set.Datasets[0], set.Runtimes[0])
			if err != nil {
				t.Fatal(err)
			}
			_, err = set.Credentials(p)
			if err == nil || !strings.Contains(err.Error(), test.want) || clierror.Code(err) != clierror.Usage {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestSecretOfTheRuntimeMayLackItsToken(t *testing.T) {
	text := strings.NewReplacer(
		"    encryptOptions:\n    - {name: fs.oss.accessKeyId, valueFrom: {secretKeyRef: {name: keys, key: id}}}\n    - {name: fs.oss.accessKeySecret, valueFrom: {secretKeyRef: {name: keys, key: secret}}}\n", "",
		"data.fluid.io/dataset: hbase}}", "data.fluid.io/dataset: hbase}}\nspec: {secret: keys}",
		"stringData: {id: AK}\ndata: {secret: U0s=}", "stringData: {AccessKeyId: AK, AccessKeySecret: SK}",
	).Replace(pair)
	set, err := read(t, text, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.BuildLocal(set.Datasets[0], set.Runtimes[0])
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := set.Credentials(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := credentials["hadoop"]; len(got) != 2 || got["fs.oss.accessKeyId"] != "AK" {
		t.Errorf("got %v", got)
	}
}

func TestReadErrors(t *testing.T) {
	for name, test := range map[string]struct{ text, namespace, want string }{
		"no YAML":           {"a: [", "", "standard input"},
		"unknown field":     {"apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\nmetadata: {name: x}\nspec: {mount: []}", "", "spec.mount"},
		"not valid":         {strings.Replace(pair, "name: hadoop,", "name: Hadoop,", 1), "", `JindoRuntime "Hadoop" is invalid`},
		"another namespace": {strings.Replace(pair, "{name: hbase}", "{name: hbase, namespace: a}", 1), "b", `the namespace "a" of "hbase" does not match --namespace "b"`},
		"too large":         {strings.Repeat("#", maxSize+1), "", "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, test.text, test.namespace)
			if err == nil || !strings.Contains(err.Error(), test.want) || clierror.Code(err) != clierror.Usage {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	if _, err := Read(t.Context(), Options{Sources: Sources{Files: []string{filepath.Join(t.TempDir(), "none")}}}); err == nil || clierror.Code(err) != clierror.Usage {
		t.Errorf("a missing file: error %v", err)
	}
	path := filepath.Join(t.TempDir(), "pair.yaml")
	if err := os.WriteFile(path, []byte("kind: x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), Options{Sources: Sources{Files: []string{path}}}); err == nil || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("error %v does not begin with the file", err)
	}
}

func TestEveryInvalidFieldIsReported(t *testing.T) {
	text := "apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: x}\nspec: {master: {replicas: 2}, replicas: -1}"
	_, err := read(t, text, "")
	if err == nil || !strings.Contains(err.Error(), "spec.master.replicas") || !strings.Contains(err.Error(), "spec.replicas") {
		t.Errorf("error %v, want both fields", err)
	}
}
