package v1alpha1

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

const (
	dataset = "apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\nmetadata: {name: a}\n"
	jindo   = "apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: b}\n"
	load    = "apiVersion: data.fluid.io/v1alpha1\nkind: DataLoad\nmetadata: {name: c}\nspec: {dataset: {name: a}}\n"
	secret  = "apiVersion: v1\nkind: Secret\nmetadata: {name: d}\nstringData: {k: v}\n"
)

func TestDecodeDocuments(t *testing.T) {
	tests := []struct {
		name, text string
		want       string
	}{
		{"nothing", "", ""},
		{"blank lines and comments", "\n# nothing\n---\n\n---\n", ""},
		{"one", dataset, "Dataset"},
		{"every kind", dataset + "---\n" + jindo + "---\n" + load + "---\n" + secret, "Dataset JindoRuntime DataLoad Secret"},
		{"markers at both ends", "---\n" + dataset + "---\n", "Dataset"},
		{"a comment behind the marker", dataset + "--- # next\n" + jindo, "Dataset JindoRuntime"},
		{"an object behind the marker", dataset + `--- {apiVersion: data.fluid.io/v1alpha1, kind: JindoRuntime, metadata: {name: b}}` + "\n", "Dataset JindoRuntime"},
		{"an end marker", dataset + "...\n" + jindo, "Dataset JindoRuntime"},
		{"a directive", "%YAML 1.1\n---\n" + dataset, "Dataset"},
		{"carriage returns", strings.ReplaceAll(dataset+"---\n"+jindo, "\n", "\r\n"), "Dataset JindoRuntime"},
		{"a byte order mark", "\ufeff" + dataset, "Dataset"},
		{"no line end", strings.TrimSpace(dataset), "Dataset"},
		{"JSON", `{"apiVersion":"data.fluid.io/v1alpha1","kind":"Dataset","metadata":{"name":"a"}}`, "Dataset"},
		{"a List", "apiVersion: v1\nkind: List\nmetadata: {}\nitems:\n- {apiVersion: data.fluid.io/v1alpha1, kind: Dataset, metadata: {name: a}}\n- {apiVersion: v1, kind: Secret, metadata: {name: d}}\n", "Dataset Secret"},
		{"dashes in text", secret + "data: {}\ntype: |\n  -----BEGIN\n  ---\n", "Secret"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects, err := Decode([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			var kinds []string
			for _, o := range objects {
				kinds = append(kinds, o.GetObjectKind().GroupVersionKind().Kind)
			}
			if got := strings.Join(kinds, " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // parts of the error
	}{
		{"an unknown field", jindo + "spec: {replica: 3}\n", []string{`JindoRuntime "b"`, `unknown field "spec.replica"`}},
		{"unknown fields deep down", jindo + "spec: {tieredstore: {levels: [{mediumType: HDD}]}, master: {foo: 1}}\n", []string{`unknown field "spec.tieredstore.levels[0].mediumType"`, `unknown field "spec.master.foo"`}},
		{"a field of another kind", dataset + "spec: {replicas: 3}\n", []string{`unknown field "spec.replicas"`}},
		{"other capitals", jindo + "Spec: {}\n", []string{`unknown field "Spec"`}},
		{"a key twice", "\n" + jindo + "spec:\n  replicas: 1\n  replicas: 2\n", []string{"line 7", `key "replicas" is duplicated`}},
		{"a key twice in a second document", dataset + "---\n" + jindo + "spec:\n  replicas: 1\n  replicas: 2\n", []string{"document 2", "line 10"}},
		{"a number for text", jindo + "spec: {tieredstore: {levels: [{high: 0.8}]}}\n", []string{"field spec.tieredstore.levels.high is a number", "put it in quotes"}},
		{"true for text", dataset + "spec: {sharedOptions: {a: on}}\n", []string{"field spec.sharedOptions is true or false", "put it in quotes"}},
		{"text for a number", jindo + "spec: {replicas: '3'}\n", []string{"field spec.replicas is a string", "a whole number"}},
		{"a fraction", jindo + "spec: {replicas: 1.5}\n", []string{"field spec.replicas is number 1.5", "a whole number"}},
		{"too large a number", jindo + "spec: {replicas: 3000000000}\n", []string{"field spec.replicas is number 3000000000"}},
		{"text for true", dataset + "spec: {mounts: [{readOnly: 'yes'}]}\n", []string{"field spec.mounts.readOnly is a string", "true or false"}},
		{"a mapping for a list", dataset + "spec: {mounts: {mountPoint: a}}\n", []string{"field spec.mounts is a mapping", "a list"}},
		{"a list for a mapping", dataset + "spec: []\n", []string{"field spec is a list", "a mapping"}},
		{"an object for a quota", jindo + "spec: {tieredstore: {levels: [{quota: {}}]}}\n", []string{"a quota must be a string or a number"}},
		{"another kind", "apiVersion: data.fluid.io/v1alpha1\nkind: AlluxioRuntime\n", []string{`unknown kind "AlluxioRuntime"`, "write kind: Dataset"}},
		{"another group", "apiVersion: batch/v1\nkind: Job\n", []string{"kind Job", `apiVersion "batch/v1"`, "use kubectl for other kinds"}},
		{"another version", "apiVersion: data.fluid.io/v1\nkind: Dataset\n", []string{"write apiVersion: data.fluid.io/v1alpha1"}},
		{"no kind", "apiVersion: data.fluid.io/v1alpha1\n", []string{"missing kind"}},
		{"no apiVersion", "kind: Dataset\n", []string{"write apiVersion"}},
		{"a list", "- a\n", []string{"not an object"}},
		{"a word", "a\n", []string{"not an object"}},
		{"a NaN", "a: .nan\n", []string{"NaN"}},
		{"no YAML", dataset + "---\na: [\n", []string{"document 2", "line"}},
		{"a tab", "kind: Dataset\nmetadata:\n\tname: a\n", []string{"line 3", "not with tabs"}},
		{"two objects without a line between", `{"apiVersion":"data.fluid.io/v1alpha1","kind":"Dataset","metadata":{"name":"a"}}` + "\n" + `{"apiVersion":"data.fluid.io/v1alpha1","kind":"Dataset","metadata":{"name":"b"}}`, []string{"contains more than one object"}},
		{"a List in a List", "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]\n", []string{"items[0]", "kind List"}},
		{"an unknown field in a List", "apiVersion: v1\nkind: List\nitems: [{apiVersion: data.fluid.io/v1alpha1, kind: Dataset, foo: 1}]\n", []string{"items[0]", `unknown field "foo"`}},
		{"an unknown field of a List", "apiVersion: v1\nkind: List\nitem: []\n", []string{`unknown field "item"`}},
		{"too many bytes", strings.Repeat("#\n", maxManifest/2+1), []string{"the limit is 1048576"}},
		{"too many documents", strings.Repeat("a\n---\n", maxDocuments+1), []string{"the limit is 256"}},
		{"aliases that multiply", bomb(), []string{"document 1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects, err := Decode([]byte(test.text))
			if err == nil {
				t.Fatalf("accepted, as %d objects", len(objects))
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not contain %q", err, part)
				}
			}
		})
	}
}

// bomb returns YAML whose aliases expand to ten billion words.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), i-1)
	}
	return b.String()
}

func TestDecodeTheSeedsPair(t *testing.T) {
	var text []byte
	for _, file := range []string{"testdata/seed-dataset.yaml", "testdata/seed-runtime.yaml"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, "---\n"...), raw...)
	}
	objects, err := Decode(text)
	if err != nil || len(objects) != 2 {
		t.Fatalf("%d objects, error %v", len(objects), err)
	}
	d, jr := objects[0].(*Dataset), objects[1].(*JindoRuntime)
	if m := d.Spec.Mounts[0]; d.Name != "hbase" || m.Name != "hadoop" || m.MountPoint != "oss://test-bucket/" || m.Options["fs.oss.endpoint"] != "<OSS_ENDPOINT>" {
		t.Errorf("the Dataset is read as %+v", d)
	}
	level := jr.Spec.TieredStore.Levels[0]
	if jr.Name != "hadoop" || *jr.Spec.Replicas != 3 || *jr.Spec.Master.Replicas != 3 || level.Quota != "2G" || level.High != "0.8" {
		t.Errorf("the JindoRuntime is read as %+v", jr)
	}
}

func TestDecodeASecret(t *testing.T) {
	objects, err := Decode([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := objects[0].(*corev1.Secret); !ok || s.StringData["k"] != "v" {
		t.Errorf("read as %+v", objects[0])
	}
}

// FuzzDecode checks that decoding, defaulting and validating never panic, and that a
// decoded object can be encoded and decoded again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{dataset, jindo, load, secret, dataset + "---\n" + jindo, "kind: List\napiVersion: v1\nitems: []", bomb(), "a: &a [*a]", "? [a]\n: b", "{}"} {
		f.Add([]byte(seed))
	}
	for _, file := range []string{"testdata/seed-dataset.yaml", "testdata/seed-runtime.yaml"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		input := bytes.Clone(raw)
		objects, err := Decode(input)
		if !bytes.Equal(input, raw) {
			t.Fatal("Decode changed its input")
		}
		if err != nil {
			return
		}
		for _, object := range objects {
			readAgain(t, object)
			SetDefaults(object)
			_, _ = Validate(object)
			readAgain(t, object)
		}
	})
}

func readAgain(t *testing.T, object runtime.Object) {
	t.Helper()
	written, err := yaml.Marshal(object)
	if err != nil {
		t.Fatalf("writing: %v", err)
	}
	if len(written) > maxManifest {
		return
	}
	again, err := Decode(written)
	if err != nil || len(again) != 1 {
		t.Fatalf("decoding again: %d objects, error %v\n%s", len(again), err, written)
	}
	if !equalJSON(t, object, again[0]) {
		t.Fatalf("another object when decoded again:\n%s", written)
	}
}
