package v1alpha1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	goyaml "go.yaml.in/yaml/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Limits of a manifest that Decode accepts, in bytes and documents.
const (
	maxManifest  = 1 << 20
	maxDocuments = 256
)

// Decode decodes a manifest of one or more YAML or JSON documents into *Dataset,
// *JindoRuntime, *DataLoad and *corev1.Secret values, in order. Objects of kind
// List are flattened. Decode is strict: unknown fields, duplicate keys and values
// of the wrong type are errors, which name the document, the object and the
// field. It neither defaults nor validates, and it does not retain raw.
func Decode(raw []byte) ([]runtime.Object, error) {
	if len(raw) > maxManifest {
		return nil, fmt.Errorf("the manifest has %d bytes, and the limit is %d: split it into several files", len(raw), maxManifest)
	}
	documents, err := splitDocuments(raw)
	if err != nil {
		return nil, err
	}
	var objects []runtime.Object
	for _, d := range documents {
		decoded, err := d.decode()
		if err != nil {
			return nil, err
		}
		objects = append(objects, decoded...)
	}
	return objects, nil
}

// document is one part of a manifest.
type document struct {
	number int
	// line of the manifest on which the document starts, from 1.
	line int
	text []byte
}

// splitDocuments splits at the lines that start or end a document, and skips empty
// documents. The YAML parser itself silently stops after the first document, so
// [onlyOne] detects a document that was split incorrectly. apimachinery's splitter
// is not used because it does not know line numbers and the marker "...".
func splitDocuments(raw []byte) ([]document, error) {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	var documents []document
	current := document{number: 1, line: 1}
	line := 0
	for text := range bytes.Lines(raw) {
		line++
		rest, marker := cutMarker(text)
		if marker {
			if !blank(current.text) {
				documents = append(documents, current)
				current.number++
			}
			current = document{number: current.number, line: line}
			text = rest
		}
		current.text = append(current.text, text...)
	}
	if !blank(current.text) {
		documents = append(documents, current)
	}
	if len(documents) > maxDocuments {
		return nil, fmt.Errorf("the manifest has %d documents, and the limit is %d: split it into several files", len(documents), maxDocuments)
	}
	return documents, nil
}

// cutMarker returns the rest of a line that starts with the word "---" or "...".
func cutMarker(line []byte) ([]byte, bool) {
	for _, marker := range []string{"---", "..."} {
		rest, found := bytes.CutPrefix(line, []byte(marker))
		if found && (len(rest) == 0 || bytes.ContainsRune([]byte(" \t\r\n"), rune(rest[0]))) {
			return rest, true
		}
	}
	return nil, false
}

// blank reports whether text contains only comments and directives.
func blank(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}

func (d document) decode() ([]runtime.Object, error) {
	asJSON, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", d, d.yamlError(err))
	}
	if err := onlyOne(d.text); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	objects, err := decodeJSON(asJSON, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	return objects, nil
}

// onlyOne returns an error if text contains more than one YAML document, because
// the parser would drop the others.
func onlyOne(text []byte) error {
	decoder := goyaml.NewDecoder(bytes.NewReader(text))
	var ignored any
	if err := decoder.Decode(&ignored); err != nil {
		return fmt.Errorf("parse YAML: %w", err)
	}
	if err := decoder.Decode(&ignored); !errors.Is(err, io.EOF) {
		return errors.New("contains more than one object: separate the objects with a line of ---")
	}
	return nil
}

// String returns the document's position in the manifest, for error messages.
func (d document) String() string {
	return fmt.Sprintf("document %d (from line %d)", d.number, d.line)
}

// yamlError returns the message of a parser error with line numbers of the whole
// manifest and without the prefixes of the parser's packages.
func (d document) yamlError(err error) string {
	padded := append(bytes.Repeat([]byte("\n"), d.line-1), d.text...)
	if _, again := yaml.YAMLToJSONStrict(padded); again != nil {
		err = again
	}
	text := strings.NewReplacer(
		"error converting YAML to JSON: ", "", "yaml: unmarshal errors:\n  ", "", "yaml: ", "", "json: ", "", "\n ", ";",
		"already set in map", "is duplicated: write it once",
	).Replace(err.Error())
	if strings.Contains(text, "cannot start any token") && bytes.Contains(d.text, []byte("\t")) {
		text += ": indent with spaces, not with tabs"
	}
	return text
}

// decodeJSON decodes one object, or the items of a List.
func decodeJSON(raw []byte, depth int) ([]runtime.Object, error) {
	var meta metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &meta); err != nil {
		return nil, errors.New("not an object: write apiVersion, kind, metadata and spec")
	}
	if meta.APIVersion == "v1" && meta.Kind == "List" && depth == 0 {
		return decodeList(raw, depth)
	}
	object, err := newObject(meta)
	if err != nil {
		return nil, err
	}
	strict, err := kjson.UnmarshalStrict(raw, object)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", describe(meta, raw), typeError(err))
	}
	if len(strict) > 0 {
		return nil, fmt.Errorf("%s: %s", describe(meta, raw), strictErrors(strict))
	}
	return []runtime.Object{object}, nil
}

func decodeList(raw []byte, depth int) ([]runtime.Object, error) {
	var list struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ListMeta   `json:"metadata"`
		Items           []json.RawMessage `json:"items"`
	}
	strict, err := kjson.UnmarshalStrict(raw, &list)
	if err != nil {
		return nil, fmt.Errorf("the List: %s", typeError(err))
	}
	if len(strict) > 0 {
		return nil, fmt.Errorf("the List: %s", strictErrors(strict))
	}
	var objects []runtime.Object
	for i, item := range list.Items {
		decoded, err := decodeJSON(item, depth+1)
		if err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
		objects = append(objects, decoded...)
	}
	return objects, nil
}

func newObject(meta metav1.TypeMeta) (runtime.Object, error) {
	switch {
	case meta.Kind == "":
		return nil, fmt.Errorf("missing kind: write kind: %s, %s or %s, and apiVersion: %s", DatasetKind, JindoRuntimeKind, DataLoadKind, APIVersion)
	case meta.APIVersion == "v1" && meta.Kind == "Secret":
		return &corev1.Secret{}, nil
	case meta.APIVersion != APIVersion && meta.Kind != DatasetKind && meta.Kind != JindoRuntimeKind && meta.Kind != DataLoadKind:
		return nil, fmt.Errorf("kind %s with apiVersion %q is not supported here: only %s, %s, %s and Secret are; use kubectl for other kinds", meta.Kind, meta.APIVersion, DatasetKind, JindoRuntimeKind, DataLoadKind)
	case meta.APIVersion != APIVersion:
		return nil, fmt.Errorf("kind %s has apiVersion %q: write apiVersion: %s", meta.Kind, meta.APIVersion, APIVersion)
	}
	switch meta.Kind {
	case DatasetKind:
		return &Dataset{}, nil
	case JindoRuntimeKind:
		return &JindoRuntime{}, nil
	case DataLoadKind:
		return &DataLoad{}, nil
	}
	return nil, fmt.Errorf("unknown kind %q: write kind: %s, %s or %s", meta.Kind, DatasetKind, JindoRuntimeKind, DataLoadKind)
}

// describe returns the kind and name of an object, for error messages.
func describe(meta metav1.TypeMeta, raw []byte) string {
	var named struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	_ = kjson.UnmarshalCaseSensitivePreserveInts(raw, &named) // an invalid name is omitted
	if named.Metadata.Name == "" {
		return meta.Kind
	}
	return fmt.Sprintf("%s %q", meta.Kind, named.Metadata.Name)
}

// typeError returns a message about a value of the wrong type in terms of YAML.
func typeError(err error) string {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	want := "a value of another type"
	switch mismatch.Type.Kind().String() {
	case "string":
		want = "text: put it in quotes"
	case "bool":
		want = "true or false, without quotes"
	case "int", "int32", "int64":
		want = "a whole number, without quotes"
	case "slice":
		want = "a list"
	case "map", "struct":
		want = "a mapping"
	}
	have := "a " + mismatch.Value
	switch {
	case mismatch.Value == "object":
		have = "a mapping"
	case mismatch.Value == "array":
		have = "a list"
	case mismatch.Value == "bool":
		have = "true or false"
	case strings.HasPrefix(mismatch.Value, "number "):
		have = mismatch.Value
	}
	return fmt.Sprintf("field %s is %s and must be %s", mismatch.Field, have, want)
}

func strictErrors(errs []error) string {
	texts := make([]string, 0, len(errs))
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ") + ": check the spelling and the indentation"
}
