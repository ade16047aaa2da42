package create

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// inOrder returns the objects as they are sent: Secrets first, so that objects
// that refer to them find them, and without fields that the API server sets.
func inOrder(given []*unstructured.Unstructured) []*unstructured.Unstructured {
	ordered := slices.Clone(given)
	slices.SortStableFunc(ordered, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	for _, u := range ordered {
		unstructured.RemoveNestedField(u.Object, "status")
		unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
		if u.GetKind() == "Secret" {
			encode(u.Object)
		}
	}
	return ordered
}

// checkDuplicates returns an error if two objects have the same kind, namespace
// and name: the second one would overwrite the first, or fail after it was
// created.
func checkDuplicates(objects []*unstructured.Unstructured) error {
	type key struct{ kind, namespace, name string }
	seen := map[key]bool{}
	for _, u := range objects {
		k := key{u.GroupVersionKind().GroupKind().String(), u.GetNamespace(), u.GetName()}
		if u.GetName() != "" && seen[k] {
			return clierror.Usagef("the manifests contain %s twice: remove one of them, or give it another name", name(u))
		}
		seen[k] = true
	}
	return nil
}

func rank(u *unstructured.Unstructured) int {
	if u.GetKind() == "Secret" {
		return 0
	}
	return 1
}

// printManifests prints the objects of a dry run without a cluster.
func (o *options) printManifests(objects []*unstructured.Unstructured, outcome string) error {
	if !o.format.Is(o.text) {
		return o.printAll(objects)
	}
	for _, u := range objects {
		if err := o.printLine(u, outcome, "dry run"); err != nil {
			return err
		}
	}
	return nil
}

// printLine prints what was done to an object, in kubectl's words.
func (o *options) printLine(u *unstructured.Unstructured, outcome, how string) error {
	if how != "" {
		how = " (" + how + ")"
	}
	if _, err := fmt.Fprintf(o.session.Streams.Out, "%s %s%s\n", name(u), outcome, how); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

func (o *options) printAll(shown []*unstructured.Unstructured) error {
	if len(shown) == 1 {
		return o.format.Print(o.session.Streams.Out, shown[0], name(shown[0]))
	}
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{}}}
	names := make([]string, len(shown))
	for i, u := range shown {
		list.Items = append(list.Items, *u)
		names[i] = name(u)
	}
	return o.format.Print(o.session.Streams.Out, list, names...)
}

// toUnstructured returns the fields of a typed object that are set.
func toUnstructured(object runtime.Object) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("encode an object: %w", err)
	}
	prune(fields)
	return &unstructured.Unstructured{Object: fields}, nil
}

// encode moves stringData to data, as the API server does: stringData is
// write-only, so applying it again would be reported as a change.
func encode(secret map[string]any) {
	text, _, _ := unstructured.NestedStringMap(secret, "stringData")
	if len(text) == 0 {
		return
	}
	data, _, _ := unstructured.NestedStringMap(secret, "data")
	if data == nil {
		data = map[string]string{}
	}
	for key, value := range text {
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	delete(secret, "stringData")
	encoded := make(map[string]any, len(data))
	for key, value := range data {
		encoded[key] = value
	}
	secret["data"] = encoded
}

// prune removes empty objects: structs that are not set are encoded as {}. Only
// in emptyDir does {} have a meaning.
func prune(value any) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			prune(element)
		}
	case map[string]any:
		for key, nested := range v {
			prune(nested)
			if fields, ok := nested.(map[string]any); ok && len(fields) == 0 && key != "emptyDir" {
				delete(v, key)
			}
		}
	}
}

// name returns the name that kubectl prints: dataset.data.fluid.io/hbase.
func name(u *unstructured.Unstructured) string {
	kind := u.GroupVersionKind()
	resource := strings.ToLower(kind.Kind)
	if kind.Group != "" {
		resource += "." + kind.Group
	}
	if u.GetName() == "" {
		return resource + "/" + u.GetGenerateName() + "*"
	}
	return resource + "/" + u.GetName()
}
