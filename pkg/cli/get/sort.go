package get

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/output"
)

// sortItems sorts by the value of a field: numbers and sizes by quantity, other
// values as text. Items without the field come first. A field that no item has is
// an error, as in kubectl.
func sortItems(items []item, where string) error {
	p, err := output.ParsePath(where)
	if err != nil {
		return clierror.Usagef("invalid --sort-by %q: %w", where, err)
	}
	type sorted struct {
		item item
		key  string
	}
	exists := false
	all := make([]sorted, len(items))
	for i := range items {
		found, err := output.Values(items[i].object, p)
		if err != nil {
			return err
		}
		all[i].item = items[i]
		if len(found) > 0 {
			exists = true
			all[i].key = found[0]
		}
	}
	if !exists && len(items) > 0 {
		return clierror.Usagef("invalid --sort-by %q: no object has this field", where).WithTry("--sort-by=.metadata.name")
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

// quantity parses a number, a quantity such as 4Gi, and the forms 1.00GiB and
// 87.5% of a status.
func quantity(text string) (resource.Quantity, error) {
	text = strings.TrimSuffix(text, "%")
	if binary := strings.TrimSuffix(text, "iB"); binary != text {
		text = binary + "i"
	}
	return resource.ParseQuantity(strings.TrimSuffix(text, "B"))
}
