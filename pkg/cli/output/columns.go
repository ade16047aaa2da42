package output

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
)

// missingField is printed for a field that an object does not have, as by kubectl.
const missingField = "<none>"

// columns print objects as the rows of a table, with a field in every column. The
// printer of kubectl is part of k8s.io/kubectl, which doubles the size of a plugin.
type columns struct {
	titles    []string
	paths     []*jsonpath.JSONPath
	noHeaders bool
}

var _ printers.ResourcePrinter = (*columns)(nil)

func parseColumns(text string, noHeaders bool) (*columns, error) {
	c := &columns{noHeaders: noHeaders}
	for _, column := range strings.Split(text, ",") {
		title, where, found := strings.Cut(column, ":")
		if !found || title == "" || where == "" {
			return nil, clierror.Usagef("-o custom-columns: invalid column %q: want TITLE:.path", column).
				WithTry("-o custom-columns=NAME:.metadata.name,PHASE:.status.phase")
		}
		p, err := ParsePath(where)
		if err != nil {
			return nil, clierror.Usagef("-o custom-columns: invalid path %q: %w", where, err).WithTry("-o custom-columns=NAME:.metadata.name")
		}
		c.titles, c.paths = append(c.titles, title), append(c.paths, p)
	}
	return c, nil
}

// PrintObj prints one row, or one for each item of a list.
func (c *columns) PrintObj(object runtime.Object, w io.Writer) error {
	rows := []runtime.Object{object}
	if meta.IsListType(object) {
		var err error
		if rows, err = meta.ExtractList(object); err != nil {
			return fmt.Errorf("read the items of a list: %w", err)
		}
	}
	t := printer.Table{Wide: true, NoHeaders: c.noHeaders}
	for _, title := range c.titles {
		t.Columns = append(t.Columns, printer.Column{Title: title})
	}
	for _, row := range rows {
		cells := make([]string, len(c.paths))
		for i, p := range c.paths {
			found, err := Values(row, p)
			if err != nil {
				return err
			}
			cells[i] = missingField
			if len(found) > 0 {
				cells[i] = strings.Join(found, ",")
			}
		}
		t.Add(cells...)
	}
	return t.Write(w, iostreams.Screen{})
}

// ParsePath parses the path of a field, such as .metadata.name, with or without
// braces and the first dot.
func ParsePath(text string) (*jsonpath.JSONPath, error) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	if !strings.HasPrefix(text, ".") && !strings.HasPrefix(text, "[") {
		text = "." + text
	}
	p := jsonpath.New("path").AllowMissingKeys(true)
	if err := p.Parse("{" + text + "}"); err != nil {
		return nil, err
	}
	return p, nil
}

// Values returns the values that an object has at a path, as text.
func Values(object runtime.Object, p *jsonpath.JSONPath) ([]string, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("convert %T: %w", object, err)
	}
	results, err := p.FindResults(fields)
	if err != nil {
		return nil, fmt.Errorf("find a field: %w", err)
	}
	var texts []string
	for _, v := range slices.Concat(results...) {
		texts = append(texts, text(v))
	}
	return texts, nil
}

func text(v reflect.Value) string {
	if !v.IsValid() || v.Kind() == reflect.Interface && v.IsNil() {
		return missingField
	}
	return fmt.Sprint(v.Interface())
}
