package inject

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	sidecar "github.com/jindo-io/jindo/pkg/kube/inject"
)

// stream holds the documents of all files in their order.
type stream struct{ documents []*document }

// document is one YAML document of a file. Its bytes are kept unless a pod in it
// changes.
type document struct {
	// name is the file, with the number of the document if it has several.
	name string
	raw  []byte
	// content is the document as JSON, or empty for an empty document.
	content []byte
	objects []*object
	// operations are those to apply to the content.
	operations []sidecar.Operation
}

// object is one object of a document.
type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name         string `json:"name"`
		GenerateName string `json:"generateName"`
		Namespace    string `json:"namespace"`
	} `json:"metadata"`
	// at is the JSON pointer to the object in the document.
	at string
	// content is the object as JSON.
	content []byte
}

func readStream(ctx context.Context, sources *manifest.Sources, stdin io.Reader) (*stream, error) {
	files, err := sources.Read(ctx, stdin)
	if err != nil {
		return nil, err
	}
	all := &stream{}
	for _, file := range files {
		parts := split(file.Raw)
		for i, part := range parts {
			d := &document{name: file.Name, raw: part}
			if len(parts) > 1 {
				d.name = fmt.Sprintf("%s#%d", d.name, i+1)
			}
			if err := d.parse(); err != nil {
				return nil, clierror.Usagef("%s: %w", d.name, err)
			}
			all.add(d)
		}
	}
	return all, nil
}

// add appends a document. Documents of different files are separated by a marker.
func (s *stream) add(d *document) {
	if n := len(s.documents); n > 0 {
		before := s.documents[n-1]
		if !bytes.HasSuffix(before.raw, []byte("\n")) {
			before.raw = append(bytes.Clone(before.raw), '\n')
		}
		if !isMarker(d.raw) {
			d.raw = append([]byte("---\n"), d.raw...)
		}
	}
	s.documents = append(s.documents, d)
}

// split splits at the lines that start a document; each document keeps its line, which
// apimachinery's splitter drops.
func split(raw []byte) [][]byte {
	var parts [][]byte
	var current []byte
	for line := range bytes.Lines(raw) {
		if isMarker(line) && len(current) > 0 {
			parts = append(parts, current)
			current = nil
		}
		current = append(current, line...)
	}
	if len(current) > 0 {
		parts = append(parts, current)
	}
	return parts
}

func isMarker(line []byte) bool {
	rest, is := bytes.CutPrefix(line, []byte("---"))
	return is && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

func (d *document) parse() error {
	content, err := yaml.YAMLToJSON(d.raw)
	if err != nil {
		return fmt.Errorf("invalid YAML: %w", err)
	}
	if bytes.Equal(bytes.TrimSpace(content), []byte("null")) {
		return nil
	}
	d.content = content
	return d.find("", content)
}

// find finds the objects of the document, and of lists every item.
func (d *document) find(at string, content []byte) error {
	o := &object{at: at, content: content}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(content, o); err != nil {
		return fmt.Errorf("not a Kubernetes object: %w", err)
	}
	if !strings.HasSuffix(o.Kind, "List") {
		d.objects = append(d.objects, o)
		return nil
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(content, &list); err != nil {
		return fmt.Errorf("not a list: %w", err)
	}
	for i, item := range list.Items {
		if err := d.find(fmt.Sprintf("%s/items/%d", at, i), item); err != nil {
			return err
		}
	}
	return nil
}

// target is a pod or a pod template.
type target struct {
	*object
	stream   *stream
	document *document
	// template is the JSON pointer to it in the document.
	template string
	pod      []byte
}

// templateOf returns the JSON pointer to the pod in objects of a kind, or false for
// kinds without pods.
func templateOf(apiVersion, kind string) (string, bool) {
	group, _, _ := strings.Cut(apiVersion, "/")
	switch group + " " + kind {
	case "v1 Pod":
		return "", true
	case "v1 ReplicationController", "apps Deployment", "apps StatefulSet", "apps DaemonSet", "apps ReplicaSet", "batch Job":
		return "/spec/template", true
	case "batch CronJob":
		return "/spec/jobTemplate/spec/template", true
	}
	return "", false
}

// targets returns all pods and pod templates in their order.
func (s *stream) targets() []*target {
	var all []*target
	for _, d := range s.documents {
		for _, o := range d.objects {
			path, has := templateOf(o.APIVersion, o.Kind)
			if !has {
				continue
			}
			if pod := member(o.content, path); pod != nil {
				all = append(all, &target{object: o, stream: s, document: d, template: o.at + path, pod: pod})
			}
		}
	}
	return all
}

// member returns the value at a JSON pointer of plain names, or nil.
func member(content []byte, pointer string) []byte {
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if name == "" {
			continue
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(content, &object); err != nil || len(object[name]) == 0 {
			return nil
		}
		content = object[name]
	}
	return content
}

// ref returns the name that kubectl prints.
func (o *object) ref() string {
	name := o.Metadata.Name
	if name == "" {
		name = o.Metadata.GenerateName + "*"
	}
	return strings.ToLower(o.Kind) + "/" + name
}

func (t *target) apply(operations []sidecar.Operation) error {
	for _, op := range operations {
		op.Path = t.template + op.Path
		t.document.operations = append(t.document.operations, op)
	}
	return nil
}
