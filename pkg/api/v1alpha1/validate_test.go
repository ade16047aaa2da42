package v1alpha1

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// rule is a test case of the validator: a spec, and the prefixes of the expected errors.
// Without errors, the spec must be accepted.
type rule struct {
	name string
	// object is the name of the object; "hadoop" if it is empty.
	object string
	spec   string
	want   []string
}

// manifest returns an object of a kind with a spec.
func manifest(kind, name, spec string) string {
	if name == "" {
		name = "hadoop"
	}
	body := map[string]any{}
	if err := yaml.Unmarshal([]byte(spec), &body); err != nil {
		panic("the test's own spec: " + err.Error())
	}
	raw, err := yaml.Marshal(map[string]any{
		"apiVersion": APIVersion, "kind": kind, "metadata": map[string]any{"name": name}, "spec": body,
	})
	if err != nil {
		panic("the test's own spec: " + err.Error())
	}
	return string(raw)
}

func decodeOne(t *testing.T, text string) runtime.Object {
	t.Helper()
	objects, err := Decode([]byte(text))
	if err != nil {
		t.Fatalf("Decode: %v\n%s", err, text)
	}
	if len(objects) != 1 {
		t.Fatalf("Decode returned %d objects, want 1", len(objects))
	}
	return objects[0]
}

// checkRules validates each spec with and without defaults. The errors must be the same,
// so that defaulting does not hide mistakes, and the schema must agree.
func checkRules(t *testing.T, kind string, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			text := manifest(kind, r.object, r.spec)
			object := decodeOne(t, text)
			before := object.DeepCopyObject()
			checkErrors(t, "as written", object, r.want)
			if !equalJSON(t, object, before) {
				t.Error("Validate changed the object")
			}
			SetDefaults(object)
			checkErrors(t, "with defaults", object, r.want)
			defaulted, err := yaml.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			checkSchema(t, kind, text, string(defaulted), len(r.want) > 0)
			once := object.DeepCopyObject()
			SetDefaults(object)
			if !equalJSON(t, object, once) {
				t.Error("defaulting twice is not defaulting once")
			}
		})
	}
}

func checkErrors(t *testing.T, how string, object runtime.Object, want []string) {
	t.Helper()
	errs, _ := Validate(object)
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
		if !strings.Contains(err.Detail, "write") && !strings.Contains(err.Detail, "omit") {
			t.Errorf("%s: %q does not describe the correction", how, err)
		}
		if err.Field == "" || strings.HasSuffix(err.Detail, ".") {
			t.Errorf("%s: %q names no field or ends in a full stop", how, err)
		}
	}
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && i < len(got) && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("%s: got errors\n  %s\nwant errors with these prefixes\n  %s", how, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func equalJSON(t *testing.T, a, b any) bool {
	t.Helper()
	rawA, errA := yaml.Marshal(a)
	rawB, errB := yaml.Marshal(b)
	if errA != nil || errB != nil {
		t.Fatalf("encoding: %v, %v", errA, errB)
	}
	return string(rawA) == string(rawB)
}

func TestNames(t *testing.T) {
	const spec = "{}"
	invalid := func(name string) []string { return []string{`metadata.name: Invalid value: "` + name} }
	checkRules(t, JindoRuntimeKind, []rule{
		{name: "the seed's", object: "hadoop", spec: spec},
		{name: "one letter", object: "a", spec: spec},
		{name: "hyphens and digits", object: "a-1-b2", spec: spec},
		{name: "as long as may be", object: strings.Repeat("a", 37), spec: spec},
		{name: "too long for a StatefulSet", object: strings.Repeat("a", 38), spec: spec, want: invalid("aaa")},
		{name: "too long for a label", object: strings.Repeat("a", 64), spec: spec, want: invalid("aaa")},
		{name: "capitals", object: "Hadoop", spec: spec, want: invalid("Hadoop")},
		{name: "digit first", object: "1st", spec: spec, want: invalid("1st")},
		{name: "hyphen last", object: "a-", spec: spec, want: invalid("a-")},
		{name: "dots", object: "a.b", spec: spec, want: invalid("a.b")},
		{name: "underscore", object: "a_b", spec: spec, want: invalid("a_b")},
		{name: "a slash", object: "a/b", spec: spec, want: invalid("a/b")},
	})
}

func TestMetadata(t *testing.T) {
	tests := []struct {
		name, metadata string
		want           []string
	}{
		{"a namespace", "{name: a, namespace: team-1}", nil},
		{"no name", "{}", []string{"metadata.name: Required value"}},
		{"a generated name", "{generateName: a-}", nil},
		{"a bad namespace", "{name: a, namespace: Team}", []string{`metadata.namespace: Invalid value: "Team"`}},
		{"an annotation that names a Dataset", "{name: a, annotations: {data.fluid.io/dataset: hbase}}", nil},
		{"an annotation that cannot", "{name: a, annotations: {data.fluid.io/dataset: H base}}", []string{`metadata.annotations[data.fluid.io/dataset]: Invalid value: "H base"`}},
		{"an empty annotation", `{name: a, annotations: {data.fluid.io/dataset: ""}}`, []string{`metadata.annotations[data.fluid.io/dataset]: Invalid value: ""`}},
		{"automatic updates", "{name: a, annotations: {jindo.io/updates: Automatic}}", nil},
		{"unknown updates", "{name: a, annotations: {jindo.io/updates: Weekly}}", []string{`metadata.annotations[jindo.io/updates]: Invalid value: "Weekly": unsupported value: write Automatic or Paused`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			object := decodeOne(t, "apiVersion: "+APIVersion+"\nkind: JindoRuntime\nmetadata: "+test.metadata+"\n")
			checkErrors(t, "as written", object, test.want)
		})
	}
}

func TestSuggestedNamesAreAllowed(t *testing.T) {
	for _, name := range []string{"Hadoop", "1st", "a_b.c", "-", "", "ÄÖ", strings.Repeat("X-", 60)} {
		object := decodeOne(t, manifest(JindoRuntimeKind, suggestName(name), "{}"))
		if errs, _ := Validate(object); len(errs) > 0 {
			t.Errorf("for %q the suggestion is refused: %v", name, errs)
		}
	}
}

func TestValidateOfOtherKinds(t *testing.T) {
	errs, _ := Validate(&DatasetList{})
	if len(errs) == 0 {
		t.Error("a list was validated")
	}
	SetDefaults(&DatasetList{}) // must not panic
}
