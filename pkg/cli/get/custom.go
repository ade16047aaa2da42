package get

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/printer"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/jsonpath"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
)

// absent stands for a field that an object does not have, as in kubectl.
const absent = "<none>"

// customColumns are the titles and paths of -o custom-columns=.
type customColumns struct {
	titles []string
	paths  []*jsonpath.JSONPath
}

func parseColumns(text string) (*customColumns, error) {
	c := &customColumns{}
	for _, column := range strings.Split(text, ",") {
		title, where, found := strings.Cut(column, ":")
		if !found || title == "" || where == "" {
			return nil, clierror.Usagef("-o custom-columns: %q is not TITLE:.path", column).WithTry("-o custom-columns=NAME:.metadata.name,PHASE:.status.phase")
		}
		p, err := path(where)
		if err != nil {
			return nil, clierror.Usagef("-o custom-columns: %q is no path: %w", where, err).WithTry("-o custom-columns=NAME:.metadata.name")
		}
		c.titles, c.paths = append(c.titles, title), append(c.paths, p)
	}
	return c, nil
}

// path reads .metadata.name, with or without braces or the first dot.
func path(text string) (*jsonpath.JSONPath, error) {
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

// values that an object has at a path.
func values(object runtime.Object, p *jsonpath.JSONPath) ([]reflect.Value, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("reading an object: %w", err)
	}
	results, err := p.FindResults(fields)
	if err != nil {
		return nil, fmt.Errorf("looking for a field: %w", err)
	}
	return slices.Concat(results...), nil
}

func (c *customColumns) print(w io.Writer, items []item, noHeaders bool) error {
	t := printer.Table{Wide: true, NoHeaders: noHeaders}
	for _, title := range c.titles {
		t.Columns = append(t.Columns, printer.Column{Title: title})
	}
	for _, i := range items {
		cells := make([]string, len(c.paths))
		for column, p := range c.paths {
			found, err := values(i.object, p)
			if err != nil {
				return err
			}
			texts := make([]string, 0, len(found))
			for _, v := range found {
				texts = append(texts, text(v))
			}
			if cells[column] = strings.Join(texts, ","); len(texts) == 0 {
				cells[column] = absent
			}
		}
		t.Add(cells...)
	}
	return t.Write(w, iostreams.Screen{})
}

func text(v reflect.Value) string {
	if !v.IsValid() || v.Kind() == reflect.Interface && v.IsNil() {
		return absent
	}
	return fmt.Sprint(v.Interface())
}

// sortItems by what they have at a path: numbers and sizes by how much they
// are, all else as text; those that have nothing there come first.
func sortItems(items []item, where string) error {
	p, err := path(where)
	if err != nil {
		return clierror.Usagef("--sort-by %q is no path: %w", where, err)
	}
	type sorted struct {
		item item
		key  string
	}
	all := make([]sorted, len(items))
	for i := range items {
		found, err := values(items[i].object, p)
		if err != nil {
			return err
		}
		all[i].item = items[i]
		if len(found) > 0 {
			all[i].key = text(found[0])
		}
	}
	slices.SortStableFunc(all, func(a, b sorted) int { return compare(a.key, b.key) })
	for i := range all {
		items[i] = all[i].item
	}
	return nil
}

func compare(a, b string) int {
	x, errA := quantity(a)
	y, errB := quantity(b)
	if errA == nil && errB == nil {
		return x.Cmp(y)
	}
	return cmp.Compare(a, b)
}

// quantity of a number, of 4Gi, and of the 1.00GiB and 87.5% of a status.
func quantity(text string) (resource.Quantity, error) {
	text = strings.TrimSuffix(text, "%")
	if binary := strings.TrimSuffix(text, "iB"); binary != text {
		text = binary + "i"
	}
	return resource.ParseQuantity(strings.TrimSuffix(text, "B"))
}

// lines of a table, without the last line break.
func lines(t *printer.Table, screen iostreams.Screen) ([]string, error) {
	var drawn bytes.Buffer
	if err := t.Write(&drawn, screen); err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(drawn.String(), "\n"), "\n"), nil
}
