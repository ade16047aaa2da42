package create

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// inOrder writes objects as a person would, Secrets first: what refers to them
// finds them.
func inOrder(objects []runtime.Object) ([]*unstructured.Unstructured, error) {
	ordered := slices.Clone(objects)
	slices.SortStableFunc(ordered, func(a, b runtime.Object) int { return rank(a) - rank(b) })
	written := make([]*unstructured.Unstructured, len(ordered))
	for i, object := range ordered {
		u, err := strip(object)
		if err != nil {
			return nil, err
		}
		written[i] = u
	}
	return written, nil
}

func rank(object runtime.Object) int {
	if _, secret := object.(*corev1.Secret); secret {
		return 0
	}
	return 1
}

// printManifests is a dry run without a cluster.
func (o *options) printManifests(objects []*unstructured.Unstructured) error {
	if !o.format.Is(created) {
		return o.printAll(objects)
	}
	for _, u := range objects {
		if err := o.tell(u, "created", "dry run"); err != nil {
			return err
		}
	}
	return nil
}

// tell says what was done to an object, in kubectl's words.
func (o *options) tell(u *unstructured.Unstructured, done, how string) error {
	if how != "" {
		how = " (" + how + ")"
	}
	if _, err := fmt.Fprintf(o.session.Streams.Out, "%s %s%s\n", name(u), done, how); err != nil {
		return fmt.Errorf("printing: %w", err)
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

// strip leaves out what a person would not write.
func strip(object runtime.Object) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("printing: %w", err)
	}
	u := &unstructured.Unstructured{Object: fields}
	unstructured.RemoveNestedField(fields, "status")
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
	if u.GetKind() == "Secret" {
		encode(fields)
	}
	prune(fields)
	return u, nil
}

// encode does what the API server does with stringData: it is write-only, so
// that applying it a second time would look like a change.
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

// prune leaves out objects that say nothing: a struct that was not set is
// written as {}. Only of emptyDir is that the way to say something.
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

// name as kubectl prints it: dataset.data.fluid.io/hbase.
func name(u *unstructured.Unstructured) string {
	kind := u.GroupVersionKind()
	resource := strings.ToLower(kind.Kind)
	if kind.Group != "" {
		resource += "." + kind.Group
	}
	return resource + "/" + u.GetName()
}
