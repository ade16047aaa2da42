package schematest

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// object of JSON, whose members are printed in the order of their names.
type object map[string]any

// schema that is being made.
type schema struct {
	sources *sources
	// defs by the names of types.
	defs         object
	undocumented []string
}

func newSchema() *schema { return &schema{sources: newSources(), defs: object{}} }

func (s *schema) of(made runtime.Object, kind string) (object, error) {
	root := reflect.TypeOf(made).Elem()
	properties, required, err := s.fields(root)
	if err != nil {
		return nil, err
	}
	properties["apiVersion"], properties["kind"] = object{"const": apiVersion}, object{"const": kind}
	about, err := s.sources.of(root)
	if err != nil {
		return nil, err
	}
	return object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": kind, "description": about.doc, "type": "object",
		"properties": properties, "required": append([]string{"apiVersion", "kind"}, required...), "$defs": s.defs,
	}, nil
}

// fields of a struct as they are in JSON; those of embedded ones are its own.
func (s *schema) fields(t reflect.Type) (properties object, required []string, err error) {
	about, err := s.sources.of(t)
	if err != nil {
		return nil, nil, err
	}
	properties = object{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported() || field.Type == reflect.TypeFor[metav1.TypeMeta]():
			continue
		case name == "" && field.Anonymous:
			inner, more, err := s.fields(field.Type)
			if err != nil {
				return nil, nil, err
			}
			for key, value := range inner {
				properties[key] = value
			}
			required = append(required, more...)
			continue
		case name == "":
			return nil, nil, fmt.Errorf("%s.%s has no name in JSON", t, field.Name)
		}
		property, err := s.value(field.Type)
		if err != nil {
			return nil, nil, fmt.Errorf("%s.%s: %w", t, field.Name, err)
		}
		if doc := about.fields[field.Name]; doc != "" {
			property["description"] = doc
		} else if !field.Anonymous {
			s.undocumented = append(s.undocumented, t.String()+"."+field.Name)
		}
		properties[name] = property
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
	}
	return properties, required, nil
}

// value of a type.
func (s *schema) value(t reflect.Type) (object, error) {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[metav1.Time]():
		return object{"type": "string", "format": "date-time"}, nil
	case reflect.TypeFor[metav1.ObjectMeta](), reflect.TypeFor[metav1.ListMeta]():
		return object{"type": "object"}, nil // Kubernetes' own, said where it is said
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.value(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}, nil
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}, nil
	case reflect.Float64:
		return object{"type": "number"}, nil
	case reflect.String:
		return s.word(t)
	case reflect.Slice:
		items, err := s.value(t.Elem())
		return object{"type": "array", "items": items}, err
	case reflect.Map:
		values, err := s.value(t.Elem())
		return object{"type": "object", "additionalProperties": values}, err
	case reflect.Struct:
		return s.named(t)
	default:
		return nil, fmt.Errorf("a %s has no place in a report", t)
	}
}

// word is a string, of a few if its type has constants.
func (s *schema) word(t reflect.Type) (object, error) {
	out := object{"type": "string"}
	if t == reflect.TypeFor[string]() {
		return out, nil
	}
	about, err := s.sources.of(t)
	if err == nil && len(about.words) > 0 {
		out["enum"] = about.words
	}
	return out, err
}

// named struct, which is written down once.
func (s *schema) named(t reflect.Type) (object, error) {
	reference := object{"$ref": "#/$defs/" + t.Name()}
	if _, done := s.defs[t.Name()]; done {
		return reference, nil
	}
	def := object{"type": "object"}
	s.defs[t.Name()] = def // before its fields, which may be of the same type
	properties, required, err := s.fields(t)
	if err != nil {
		return nil, err
	}
	about, err := s.sources.of(t)
	if err != nil {
		return nil, err
	}
	def["description"], def["properties"], def["required"] = about.doc, properties, required
	return reference, nil
}
