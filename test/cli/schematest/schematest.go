// Package schematest checks the kinds that commands print for programs: every
// field is documented, no field is removed and none changes its type unnoticed,
// and objects match the schema. The JSON schema is generated from the Go type and
// its comments, and compared with a reviewed file.
package schematest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/test/cli/golden"
)

// apiVersion is that of every report. It repeats the constant of the package report, so
// that one edit cannot change it.
const apiVersion = "cli.jindo.io/v1alpha1"

// Compare compares the schema of made, an object as a command creates it, with
// testdata/schema/<kind>.json, and validates the examples, which are complete
// objects, against it.
func Compare(t *testing.T, update bool, kind string, made runtime.Object, examples ...runtime.Object) {
	t.Helper()
	if gvk := made.GetObjectKind().GroupVersionKind(); gvk.GroupVersion().String() != apiVersion || gvk.Kind != kind {
		t.Errorf("the object is a %q of %q, want a %s of %s", gvk.Kind, gvk.GroupVersion(), kind, apiVersion)
	}
	text, err := schemaOf(t, kind, made)
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, update, filepath.Join("schema", kind+".json"), string(text))
	compiled, err := compile(kind, text)
	if err != nil {
		t.Fatal(err)
	}
	for i, object := range examples {
		if err := validate(compiled, object); err != nil {
			t.Errorf("example %d does not match the schema of %s: %v", i, kind, err)
		}
	}
}

// schemaOf returns the schema of an object in JSON. Fields without a comment
// fail the test.
func schemaOf(t *testing.T, kind string, made runtime.Object) ([]byte, error) {
	read := newSources()
	reflector := &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, AllowAdditionalProperties: true,
		Mapper: func(of reflect.Type) *jsonschema.Schema { return mapType(read, of) },
		LookupComment: func(of reflect.Type, field string) string {
			comment := read.comment(of, field)
			if comment == "" && field != "" && !embedded(of, field) {
				t.Errorf("%s.%s has no comment", of, field)
			}
			return comment
		},
	}
	root := reflector.Reflect(made)
	root.Title = kind
	root.Properties.Set("apiVersion", &jsonschema.Schema{Const: apiVersion})
	root.Properties.Set("kind", &jsonschema.Schema{Const: kind})
	root.Required = append([]string{"apiVersion", "kind"}, root.Required...)
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the schema of %s: %w", kind, err)
	}
	return append(text, '\n'), read.err
}

// embedded reports whether a field is inlined, or metadata, which Kubernetes
// documents.
func embedded(of reflect.Type, name string) bool {
	field, found := of.FieldByName(name)
	return found && (field.Anonymous || field.Type.PkgPath() == reflect.TypeFor[metav1.TypeMeta]().PkgPath() && field.Type != reflect.TypeFor[metav1.Time]()) ||
		of.PkgPath() == reflect.TypeFor[metav1.TypeMeta]().PkgPath()
}

// mapType returns the schemas of types that reflection alone does not describe.
func mapType(read *sources, of reflect.Type) *jsonschema.Schema {
	switch of {
	case reflect.TypeFor[metav1.Time]():
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case reflect.TypeFor[metav1.ObjectMeta](), reflect.TypeFor[metav1.ListMeta]():
		return &jsonschema.Schema{Type: "object"}
	}
	if of.Kind() != reflect.String || of.PkgPath() == "" {
		return nil
	}
	return &jsonschema.Schema{Type: "string", Enum: read.constants(of)}
}

func compile(kind string, text []byte) (*validator.Schema, error) {
	document, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("decode the schema of %s: %w", kind, err)
	}
	compiler := validator.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(kind, document); err != nil {
		return nil, fmt.Errorf("load the schema of %s: %w", kind, err)
	}
	compiled, err := compiler.Compile(kind)
	if err != nil {
		return nil, fmt.Errorf("compile the schema of %s: %w", kind, err)
	}
	return compiled, nil
}

// validate checks an object as it is printed.
func validate(compiled *validator.Schema, object runtime.Object) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	instance, err := validator.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return compiled.Validate(instance)
}
