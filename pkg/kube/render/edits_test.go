package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

//go:generate go test -run ^TestEditReference$ -update .

const (
	fieldsFile = "../../../docs/reference/fields.md"
	editsFile  = "../../../docs/reference/edits.md"
)

// sample is an edit of one field.
type sample struct {
	// Field is the path that is set.
	Field string `json:"field"`
	// Title is the field that the sample is about, by default Field.
	Title         string `json:"title"`
	Before, After any
	// Also are other fields that are set with After, because the object is not valid
	// otherwise.
	Also map[string]any `json:"also"`
}

// setField sets the field at a path of an object of JSON, in the first item of lists.
func setField(object map[string]any, path []string, value any) {
	name, list := strings.CutSuffix(path[0], "[]")
	if len(path) == 1 {
		object[name] = value
		return
	}
	if list {
		object = object[name].([]any)[0].(map[string]any)
		setField(object, path[1:], value)
		return
	}
	if _, exists := object[name]; !exists {
		object[name] = map[string]any{}
	}
	setField(object[name].(map[string]any), path[1:], value)
}

// pairWith returns the sample pair with fields of one kind set.
func pairWith(t *testing.T, kind string, fields map[string]any) plan.Declared {
	t.Helper()
	const image = "ghcr.io/jindo-io/jindo:v1"
	raw, err := os.ReadFile("testdata/edits/pair.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := plan.Declared{Renderer: image, Secret: "hadoop-credentials", SecretKey: func(mount, option string) string { return mount + "_" + option }}
	for document := range strings.SplitSeq(string(raw), "\n---\n") {
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		if object["kind"] == kind {
			for _, field := range slices.Sorted(maps.Keys(fields)) {
				setField(object, strings.Split(field, "."), fields[field])
			}
		}
		edited, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := v1alpha1.Decode(edited)
		if err != nil {
			t.Fatalf("%s with %v: %v", kind, fields, err)
		}
		v1alpha1.SetDefaults(decoded[0])
		if errs, _ := v1alpha1.Validate(decoded[0]); len(errs) > 0 {
			t.Fatalf("%s with %v: %v", kind, fields, errs)
		}
		switch o := decoded[0].(type) {
		case *v1alpha1.Dataset:
			d.Dataset = o
		case *v1alpha1.JindoRuntime:
			d.Runtime = o
		}
	}
	spec := d.Runtime.Spec
	d.Images = v1alpha1.RuntimeImages{
		Jindo: names.Image(image, spec.JindoVersion.Image, spec.JindoVersion.ImageTag), Fuse: names.Image(image, spec.Fuse.Image, spec.Fuse.ImageTag),
	}
	return d
}

// rolledOut returns the digests of the pod templates of an effective spec, by role.
func rolledOut(t *testing.T, effective *v1alpha1.EffectiveSpec, of *v1alpha1.JindoRuntime) map[string]string {
	t.Helper()
	in := Input{
		Images: effective.Images, ClusterID: "0123456789abcdef", CA: []byte("certificate\n"), Formed: true,
		MasterNodes: []string{"node-a", "node-b", "node-c"}, HostPaths: allow(t, "/mnt/ssd0,/mnt/ssd1"),
	}
	var err error
	if in.Runtime, in.Dataset, err = plan.Restore(effective, of); err != nil {
		t.Fatal(err)
	}
	v1alpha1.SetDefaults(in.Runtime)
	v1alpha1.SetDefaults(in.Dataset)
	if in.Plan, err = plan.Build(in.Dataset, in.Runtime); err != nil {
		t.Fatal(err)
	}
	objects, err := Objects(in)
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for _, o := range objects {
		if template := Template(o); template != nil {
			digests[template.Labels[names.LabelRole]] = Digest(template)
		}
	}
	return digests
}

// inUse is the progress of a runtime whose files are read.
func inUse() plan.Progress {
	return plan.Progress{Started: true, Mounted: true, Worked: func(string) bool { return true }, Users: func(string) (string, error) { return "", nil }}
}

// refusalOf returns why the webhook refuses an edit of a pair whose pods and claim exist,
// and what to do instead; "" if it accepts it.
func refusalOf(t *testing.T, before, after plan.Declared) string {
	t.Helper()
	size, err := v1alpha1.ClaimSize(before.Dataset)
	if err != nil {
		t.Fatal(err)
	}
	claim := &corev1.PersistentVolumeClaimSpec{AccessModes: before.Dataset.Spec.AccessModes}
	claim.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: size}
	refused := append(plan.RefusedRuntimeEdits(before.Runtime.Spec, after.Runtime.Spec, true), plan.RefusedDatasetEdits(claim, after.Dataset)...)
	var reasons []string
	for _, r := range refused {
		reasons = append(reasons, r.String())
	}
	slices.Sort(reasons)
	return strings.Join(slices.Compact(reasons), "; ")
}

// effectOf returns what an edit does: which pods are replaced, that none are, or why it
// is refused. An edit that the controllers do not carry out must be refused.
func effectOf(t *testing.T, kind string, s sample) string {
	t.Helper()
	before, after := map[string]any{}, map[string]any{s.Field: s.After}
	if s.Before != nil {
		before[s.Field] = s.Before
	}
	maps.Copy(after, s.Also)
	declared := pairWith(t, kind, before)
	current, _, err := plan.Next(nil, declared, plan.Progress{})
	if err != nil {
		t.Fatal(err)
	}
	edited := pairWith(t, kind, after)
	next, kept, err := plan.Next(current, edited, inUse())
	if err != nil {
		t.Fatal(err)
	}
	refused := refusalOf(t, declared, edited)
	used := inUse()
	used.Users = func(string) (string, error) { return "pod reader mounts it", nil }
	_, waits, err := plan.Next(current, pairWith(t, kind, after), used)
	if err != nil {
		t.Fatal(err)
	}
	var roles []string
	was, is := rolledOut(t, current, declared.Runtime), rolledOut(t, next, declared.Runtime)
	for _, c := range []struct {
		role plan.Role
		word string
	}{{plan.RoleMaster, "masters"}, {plan.RoleWorker, "workers"}, {plan.RoleFuse, "FUSE servers"}} {
		if label := "jindofs-" + string(c.role); was[label] != is[label] {
			roles = append(roles, c.word)
		}
	}
	changed := !equality.Semantic.DeepEqual(current.Runtime, next.Runtime) || current.ListedMasters != next.ListedMasters || !equality.Semantic.DeepEqual(current.Dataset, next.Dataset) || current.Images != next.Images
	switch {
	case len(kept) > 0 && changed:
		t.Errorf("%s %s: one edit is both carried out and not: %q", kind, s.Field, kept)
		return ""
	case len(kept) > 0 && refused == "":
		t.Errorf("%s %s: an edit that is not carried out is accepted: %q", kind, s.Field, kept)
		return ""
	case refused != "" && len(roles) > 0:
		t.Errorf("%s %s: the edit is refused, and would replace %v", kind, s.Field, roles)
		return ""
	case refused != "":
		return "**refused**: " + refused
	case len(roles) > 0:
		return "replaces " + strings.Join(roles, ", ")
	case changed && len(waits) > 0:
		return "online, once no pod mounts the Dataset's claim; until then ChangeNotApplied names the pods"
	case changed:
		return "online"
	}
	t.Errorf("%s %s: the edit changes nothing, and no message says so", kind, s.Field)
	return ""
}

// docs/reference/edits.md is generated from what an edit of each field does. A field
// that has an effect must have a sample, and its edit must be carried out or reported.
// Run with -update to regenerate it.
func TestEditReference(t *testing.T) {
	raw, err := os.ReadFile("testdata/edits/edits.yaml")
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string][]sample{}
	if err := yaml.UnmarshalStrict(raw, &samples); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(`<!-- Generated by "go generate ./pkg/kube/render/...": change pkg/plan or testdata/edits instead. -->

# Edits

What an edit of each field does to a runtime in use, on Kubernetes. Fields that have
no effect are in [fields](fields.md).

- **online**: it takes effect without a restart of any pod.
- **replaces …**: pods of these components are replaced, one at a time, under open
  files ([how](../operations.md#an-edit-replaces-pods)).
- **refused**: the webhook refuses the edit with this reason, once pods or the claim of
  the Dataset exist. If the webhook was not available, condition ChangeNotApplied gives
  the reason, the runtime continues with the value in use, and the field may be set to
  that value.
`)
	for _, kind := range []string{v1alpha1.DatasetKind, v1alpha1.JindoRuntimeKind} {
		fmt.Fprintf(&b, "\n## %s\n\n| field | an edit |\n|---|---|\n", kind)
		for _, field := range append(fieldsWithEffect(t, kind), annotationsWithEffect[kind]...) {
			at := slices.IndexFunc(samples[kind], func(s sample) bool { return s.Title == field || s.Title == "" && s.Field == field })
			if at < 0 {
				t.Errorf("%s %s has an effect, and no edit in testdata/edits/edits.yaml", kind, field)
				continue
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", field, effectOf(t, kind, samples[kind][at]))
		}
	}
	if *update {
		if err := os.WriteFile(editsFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(editsFile)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s does not match what edits do: run go generate ./pkg/kube/render/...", editsFile)
	}
}

// annotationsWithEffect are those that the reference of fields does not list.
var annotationsWithEffect = map[string][]string{
	v1alpha1.DatasetKind: {"metadata.annotations[" + v1alpha1.PVCStorageAnnotation + "]"},
}

// fieldsWithEffect returns the fields of a kind that the reference of fields lists with
// an effect.
func fieldsWithEffect(t *testing.T, kind string) []string {
	t.Helper()
	raw, err := os.ReadFile(fieldsFile)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(raw), "\n## "+kind+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var fields []string
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, " | "); len(cells) > 3 && cells[2] == "yes" {
			fields = append(fields, strings.Trim(cells[0], "|` "))
		}
	}
	if len(fields) == 0 {
		t.Fatalf("%s lists no field of %s", fieldsFile, kind)
	}
	return fields
}
