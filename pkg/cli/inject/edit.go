package inject

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	goyaml "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	sidecar "github.com/jindo-io/jindo/pkg/kube/inject"
)

// bytes returns the document with its operations applied. Comments and the order of
// fields are kept, except in documents with aliases, which are expanded.
func (d *document) bytes() ([]byte, error) {
	if len(d.operations) == 0 {
		return d.raw, nil
	}
	edited, err := sidecar.Apply(d.content, d.operations)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	if bytes.HasPrefix(bytes.TrimSpace(d.raw), []byte("{")) {
		var indented bytes.Buffer
		if err := json.Indent(&indented, edited, "", "    "); err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		indented.WriteByte('\n')
		return indented.Bytes(), nil
	}
	out, err := d.inPlace()
	if err == nil {
		// The text is used only if it decodes to the result of the operations.
		if again, err := yaml.YAMLToJSON(out); err == nil && sameJSON(again, edited) {
			return out, nil
		}
	}
	plain, err := yaml.JSONToYAML(edited)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	if isMarker(d.raw) {
		plain = append([]byte("---\n"), plain...)
	}
	return plain, nil
}

func sameJSON(a, b []byte) bool {
	var left, right any
	if json.Unmarshal(a, &left) != nil || json.Unmarshal(b, &right) != nil {
		return false
	}
	x, err1 := json.Marshal(left)
	y, err2 := json.Marshal(right)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

var errNotInPlace = errors.New("the document cannot be edited in place")

// inPlace applies the operations to the text. kyaml is not used: it edits by field
// path and cannot insert or remove list items at an index, as RFC 6902 does.
func (d *document) inPlace() ([]byte, error) {
	var root goyaml.Node
	if err := goyaml.Unmarshal(d.raw, &root); err != nil || len(root.Content) != 1 {
		return nil, errNotInPlace
	}
	for _, op := range d.operations {
		if err := applyTo(root.Content[0], op); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	if isMarker(d.raw) {
		marker, _, _ := bytes.Cut(d.raw, []byte("\n"))
		out.Write(marker)
		out.WriteByte('\n')
	}
	encoder := goyaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if isCompact(d.raw) {
		encoder.CompactSeqIndent()
	}
	if err := errors.Join(encoder.Encode(&root), encoder.Close()); err != nil {
		return nil, fmt.Errorf("encode %s: %w", d.name, err)
	}
	return out.Bytes(), nil
}

// isCompact reports whether list items are indented as far as the key of the list.
func isCompact(raw []byte) bool {
	name := -1
	for line := range bytes.Lines(raw) {
		trimmed := bytes.TrimLeft(line, " ")
		indent := len(line) - len(trimmed)
		if name >= 0 && bytes.HasPrefix(trimmed, []byte("- ")) {
			return indent == name
		}
		name = -1
		if bytes.HasSuffix(bytes.TrimSpace(trimmed), []byte(":")) && !bytes.HasPrefix(trimmed, []byte("- ")) {
			name = indent
		}
	}
	return false
}

// applyTo applies one operation to the nodes of a document.
func applyTo(root *goyaml.Node, op sidecar.Operation) error {
	path := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
	for i, name := range path {
		path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	}
	parent := root
	for _, name := range path[:len(path)-1] {
		if parent = child(parent, name); parent == nil || parent.Kind == goyaml.AliasNode {
			return errNotInPlace
		}
	}
	if op.Op == "test" {
		return nil // was checked on the content
	}
	last := path[len(path)-1]
	if op.Op == "remove" {
		return remove(parent, last)
	}
	value, err := nodeOf(op.Value)
	if err != nil {
		return err
	}
	return put(parent, last, value, op.Op == "add")
}

func child(parent *goyaml.Node, name string) *goyaml.Node {
	switch parent.Kind {
	case goyaml.MappingNode:
		for i := 0; i+1 < len(parent.Content); i += 2 {
			if parent.Content[i].Value == name {
				return parent.Content[i+1]
			}
		}
	case goyaml.SequenceNode:
		if at, err := strconv.Atoi(name); err == nil && at >= 0 && at < len(parent.Content) {
			return parent.Content[at]
		}
	}
	return nil
}

func remove(parent *goyaml.Node, name string) error {
	switch parent.Kind {
	case goyaml.MappingNode:
		for i := 0; i+1 < len(parent.Content); i += 2 {
			if parent.Content[i].Value == name {
				parent.Content = slices.Delete(parent.Content, i, i+2)
				return nil
			}
		}
	case goyaml.SequenceNode:
		if at, err := strconv.Atoi(name); err == nil && at >= 0 && at < len(parent.Content) {
			parent.Content = slices.Delete(parent.Content, at, at+1)
			return nil
		}
	}
	return errNotInPlace
}

func put(parent *goyaml.Node, name string, value *goyaml.Node, insert bool) error {
	switch parent.Kind {
	case goyaml.MappingNode:
		if old := child(parent, name); old != nil {
			value.LineComment, value.HeadComment, value.FootComment = old.LineComment, old.HeadComment, old.FootComment
			*old = *value
			return nil
		}
		parent.Style &^= goyaml.FlowStyle
		parent.Content = append(parent.Content, plainText(name), value)
		return nil
	case goyaml.SequenceNode:
		at := len(parent.Content)
		if name != "-" {
			number, err := strconv.Atoi(name)
			if err != nil || number < 0 || number > len(parent.Content) {
				return errNotInPlace
			}
			at = number
		}
		if !insert && at < len(parent.Content) {
			*parent.Content[at] = *value
			return nil
		}
		parent.Style &^= goyaml.FlowStyle
		parent.Content = slices.Insert(parent.Content, at, value)
		return nil
	}
	return errNotInPlace
}

// nodeOf returns the node of a value in block style.
func nodeOf(value any) (*goyaml.Node, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode a value: %w", err)
	}
	var root goyaml.Node
	if err := goyaml.Unmarshal(raw, &root); err != nil || len(root.Content) != 1 {
		return nil, errNotInPlace
	}
	blockStyle(root.Content[0])
	return root.Content[0], nil
}

func blockStyle(n *goyaml.Node) {
	n.Style &^= goyaml.FlowStyle
	if n.Kind == goyaml.ScalarNode && n.Tag == "!!str" {
		n.Style = plainText(n.Value).Style
	}
	for _, c := range n.Content {
		blockStyle(c)
	}
}

var unquoted = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z/][-A-Za-z0-9_./=,$()]*(:[-A-Za-z0-9_./=,$()]+)*$`)
})

// plainText returns a string node, with quotes only if the plain text could be read as
// another type.
func plainText(text string) *goyaml.Node {
	n := &goyaml.Node{Kind: goyaml.ScalarNode, Tag: "!!str", Value: text, Style: goyaml.DoubleQuotedStyle}
	words := []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
	if (unquoted().MatchString(text) || strings.HasPrefix(text, "--") && unquoted().MatchString(text[2:])) && !slices.Contains(words, strings.ToLower(text)) {
		n.Style = 0
	}
	return n
}
