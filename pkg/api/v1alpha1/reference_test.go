package v1alpha1

import (
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

//go:generate go test -run ^(TestFieldReference|TestSchemaOutline)$ -update .

var update = flag.Bool("update", false, "rewrite docs/reference/fields.md")

const referenceFile = "../../../docs/reference/fields.md"

// fieldInfo is one field of a spec.
type fieldInfo struct {
	path string
	kind string // type as shown in the reference
	doc  string
	leaf bool
}

// specs returns the types of the specs by kind.
func specs() map[string]reflect.Type {
	return map[string]reflect.Type{
		DatasetKind:      reflect.TypeFor[DatasetSpec](),
		JindoRuntimeKind: reflect.TypeFor[JindoRuntimeSpec](),
		DataLoadKind:     reflect.TypeFor[DataLoadSpec](),
	}
}

// walk returns the fields of a type of this package and of the types inside it.
func walk(t reflect.Type, at string, comments map[string]string) []fieldInfo {
	var fields []fieldInfo
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		ours := inner.Kind() == reflect.Struct && inner.PkgPath() == t.PkgPath()
		if name == "" { // embedded
			if ours {
				fields = append(fields, walk(inner, at, comments)...)
			}
			continue
		}
		path := at + "." + name
		kind := typeWord(f.Type)
		fields = append(fields, fieldInfo{path: path, kind: kind, doc: comments[t.Name()+"."+f.Name], leaf: !ours})
		if ours {
			if kind == "list" {
				path += "[]"
			}
			fields = append(fields, walk(inner, path, comments)...)
		}
	}
	return fields
}

func typeWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return typeWord(t.Elem())
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return "list of text"
		}
		return "list"
	case reflect.Map, reflect.Struct:
		return "mapping"
	default:
		return "number"
	}
}

// fieldComments returns the comments of this package's fields from its source.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	pkg, err := doc.NewFromFiles(set, files, "v1alpha1", doc.PreserveAST)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, typ := range pkg.Types {
		for _, spec := range typ.Decl.Specs {
			structure, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					comments[typ.Name+"."+name.Name] = commentText(field.Doc)
				}
			}
		}
	}
	return comments
}

// commentText returns a comment as one line, without markers.
func commentText(group *ast.CommentGroup) string {
	var words []string
	for line := range strings.Lines(group.Text()) {
		if !strings.HasPrefix(line, "+") {
			words = append(words, strings.Fields(line)...)
		}
	}
	return strings.Join(words, " ")
}

// withEffect lists the fields that have an effect. A new field must be added here or to
// FieldsWithoutEffect.
var withEffect = map[string][]string{
	DatasetKind: {
		"spec.mounts[].mountPoint", "spec.mounts[].options", "spec.mounts[].name", "spec.mounts[].path", "spec.mounts[].readOnly",
		"spec.mounts[].encryptOptions[].name", "spec.mounts[].encryptOptions[].valueFrom.secretKeyRef.name", "spec.mounts[].encryptOptions[].valueFrom.secretKeyRef.key",
		"spec.owner.uid", "spec.owner.gid", "spec.accessModes", "spec.sharedOptions",
		"spec.sharedEncryptOptions[].name", "spec.sharedEncryptOptions[].valueFrom.secretKeyRef.name", "spec.sharedEncryptOptions[].valueFrom.secretKeyRef.key",
		// On Kubernetes.
		"spec.nodeAffinity.required", "spec.tolerations", "spec.placement",
	},
	JindoRuntimeKind: {
		"spec.replicas", "spec.secret",
		"spec.master.replicas", "spec.master.resources", "spec.master.env", "spec.master.disabled", "spec.master.storageClassName",
		"spec.master.snapshots.mount", "spec.master.snapshots.prefix", "spec.master.snapshots.interval", "spec.master.snapshots.keep",
		"spec.worker.env", "spec.worker.disabled",
		"spec.fuse.env", "spec.fuse.args", "spec.fuse.disabled",
		"spec.tieredstore.levels[].mediumtype", "spec.tieredstore.levels[].path", "spec.tieredstore.levels[].quota",
		"spec.tieredstore.levels[].quotaList", "spec.tieredstore.levels[].high", "spec.tieredstore.levels[].low",
		// On Kubernetes.
		"spec.jindoVersion.image", "spec.jindoVersion.imageTag", "spec.jindoVersion.imagePullPolicy", "spec.master.nodeSelector",
		"spec.master.tolerations", "spec.master.labels", "spec.master.podMetadata.labels", "spec.master.podMetadata.annotations",
		"spec.master.volumeMounts", "spec.master.imagePullSecrets", "spec.worker.resources", "spec.worker.nodeSelector",
		"spec.worker.tolerations", "spec.worker.labels", "spec.worker.podMetadata.labels", "spec.worker.podMetadata.annotations",
		"spec.worker.volumeMounts", "spec.worker.imagePullSecrets", "spec.fuse.image", "spec.fuse.imageTag",
		"spec.fuse.imagePullPolicy", "spec.fuse.imagePullSecrets", "spec.fuse.resources", "spec.fuse.nodeSelector",
		"spec.fuse.labels", "spec.fuse.podMetadata.labels", "spec.fuse.podMetadata.annotations", "spec.fuse.cleanPolicy",
		"spec.tieredstore.levels[].volumeType", "spec.labels", "spec.podMetadata.labels", "spec.podMetadata.annotations",
		"spec.networkmode", "spec.volumes", "spec.imagePullSecrets",
	},
}

// effectOf returns the entry of the table for a field or for a parent of it.
func effectOf(kind, path string) (FieldWithoutEffect, bool) {
	for _, entry := range FieldsWithoutEffect() {
		if entry.Kind == kind && (path == entry.Path || strings.HasPrefix(path, entry.Path+".") || strings.HasPrefix(path, entry.Path+"[")) {
			return entry, true
		}
	}
	return FieldWithoutEffect{}, false
}

func TestEveryFieldIsDecided(t *testing.T) {
	for kind, spec := range specs() {
		fields := walk(spec, "spec", map[string]string{})
		for _, f := range fields {
			_, without := effectOf(kind, f.path)
			with := slices.Contains(withEffect[kind], f.path)
			if with == without && f.leaf {
				t.Errorf("%s %s: in the list with effect: %v, in the table without: %v; it must be in one", kind, f.path, with, without)
			}
		}
		for _, path := range withEffect[kind] {
			if !slices.ContainsFunc(fields, func(f fieldInfo) bool { return f.path == path }) {
				t.Errorf("%s has no field %s", kind, path)
			}
		}
	}
}

// Every entry of the table is an existing field, and causes a warning.
func TestFieldsWithoutEffect(t *testing.T) {
	seen := map[string]bool{}
	for _, entry := range FieldsWithoutEffect() {
		name := entry.Kind + " " + entry.Path
		if seen[name] {
			t.Errorf("%s is duplicated", name)
		}
		seen[name] = true
		if entry.Reason == "" {
			t.Errorf("%s has no reason", name)
		}
		path, _, isKey := strings.Cut(strings.ReplaceAll(entry.Path, "[]", "\x00"), "[")
		path = strings.ReplaceAll(path, "\x00", "[]")
		known := entry.Path == "spec" || slices.ContainsFunc(walk(specs()[entry.Kind], "spec", map[string]string{}), func(f fieldInfo) bool {
			return f.path == path && (!isKey || f.kind == "mapping")
		})
		if !known {
			t.Errorf("%s is not a field", name)
		}
		f := &findings{}
		f.withoutEffect(entry.Kind, tree(strings.Split(entry.Path, ".")))
		want := strings.ReplaceAll(entry.Path, "[]", "[0]") + ": has no effect"
		if len(f.warnings) != 1 || !strings.HasPrefix(f.warnings[0], want) {
			t.Errorf("%s is warned of as %q", name, f.warnings)
		}
	}
}

// tree returns an object in which the field at a path is set.
func tree(path []string) any {
	if len(path) == 0 {
		return "x"
	}
	inner := tree(path[1:])
	name, list := strings.CutSuffix(path[0], "[]")
	name, key, keyed := strings.Cut(name, "[")
	switch {
	case list:
		inner = []any{inner}
	case keyed:
		inner = map[string]any{strings.TrimSuffix(key, "]"): inner}
	}
	return map[string]any{name: inner}
}

// Empty fields cause no warnings, however they are written.
func TestUnsetFieldsAreNotWarnedOf(t *testing.T) {
	f := &findings{}
	f.withoutEffect(JindoRuntimeKind, map[string]any{"spec": map[string]any{
		"networkmode": "ContainerNetwork", "properties": map[string]any{}, "volumes": []any{}, "user": "", "runAs": nil,
		"fuse": map[string]any{"metrics": map[string]any{"enabled": false}}, "tieredstore": map[string]any{"levels": "x"},
	}})
	if len(f.warnings) > 0 {
		t.Errorf("warned of %q", f.warnings)
	}
}

// docs/reference/fields.md is generated from the types and the table. Run with -update
// to regenerate it.
func TestFieldReference(t *testing.T) {
	got := reference(t)
	if *update {
		if err := os.MkdirAll(filepath.Dir(referenceFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(referenceFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s does not match the types and the table: run go generate ./pkg/api/...", referenceFile)
	}
}

func reference(t *testing.T) string {
	comments := fieldComments(t)
	var b strings.Builder
	b.WriteString(`<!-- Generated by "go generate ./pkg/api/...": change pkg/api/v1alpha1 instead. -->

# Fields

The fields of Dataset, JindoRuntime and DataLoad are compatible with those of Fluid's
JindoRuntime. This page lists which of them have an effect. A field marked **no** is
accepted and has no effect; one marked **not yet** will have an effect in a later
version. Both include all fields below them, and setting one results in a warning, not
an error. Fields for pods, nodes and images have an effect on Kubernetes only, not on
one machine.
`)
	for _, kind := range []string{DatasetKind, JindoRuntimeKind, DataLoadKind} {
		fmt.Fprintf(&b, "\n## %s\n\n", kind)
		if entry, without := effectOf(kind, "spec"); without {
			fmt.Fprintf(&b, "All of it: %s.\n\n", entryWord(entry))
		}
		b.WriteString("| field | type | effect | |\n|---|---|---|---|\n")
		for _, f := range walk(specs()[kind], "spec", comments) {
			if f.doc == "" {
				t.Errorf("%s %s has no comment", kind, f.path)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.path, f.kind, effectWord(kind, f), f.doc)
			for _, entry := range FieldsWithoutEffect() {
				key, inside := strings.CutPrefix(entry.Path, f.path+"[")
				if entry.Kind == kind && inside && strings.Index(key, "]") == len(key)-1 && key != "]" {
					fmt.Fprintf(&b, "| `%s` | text | %s | |\n", entry.Path, entryWord(entry))
				}
			}
		}
	}
	return b.String()
}

func effectWord(kind string, f fieldInfo) string {
	if entry, without := effectOf(kind, f.path); without {
		if entry.Path != f.path { // the entry is that of a parent
			return ""
		}
		return entryWord(entry)
	}
	if !f.leaf {
		return ""
	}
	return "yes"
}

func entryWord(entry FieldWithoutEffect) string {
	word := "**no**: "
	if entry.NotYet {
		word = "**not yet**: "
	}
	return word + entry.Reason
}
