package status

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// orders of rows that --sort-by knows.
func orders() []string { return []string{"name", "health", "cached", "hit", "workers", "age"} }

// order the rows; those that are equal stay in the order of their names. Figures
// go from large to small, health from bad to good.
func (o *options) order(reports []report.Runtime) {
	healths := []report.Health{report.Unavailable, report.Stopped, report.Degraded, report.Starting, report.Healthy}
	slices.SortStableFunc(reports, func(a, b report.Runtime) int {
		switch o.sortBy {
		case "health":
			return cmp.Compare(slices.Index(healths, a.Health), slices.Index(healths, b.Health))
		case "cached":
			return cmp.Compare(b.Cache.Used, a.Cache.Used)
		case "hit":
			return cmp.Compare(ratio(b), ratio(a))
		case "workers":
			return cmp.Compare(len(b.Workers), len(a.Workers))
		case "age":
			return older(a, b)
		}
		return cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
}

func ratio(r report.Runtime) float64 {
	if r.Cache.HitRatio == nil {
		return -1
	}
	return *r.Cache.HitRatio
}

func older(a, b report.Runtime) int {
	switch {
	case a.Created == nil || b.Created == nil:
		return 0
	}
	return a.Created.Compare(b.Created.Time)
}

// nothing is the sentence for an empty list.
func (o *options) nothing() string {
	switch {
	case o.session.Local:
		return fmt.Sprintf("nothing runs on this machine in namespace %q", o.session.InNamespace())
	case o.everyone:
		return "there is no Dataset and no JindoRuntime in this cluster"
	}
	return fmt.Sprintf("there is no Dataset and no JindoRuntime in namespace %q; -A shows those of all namespaces", o.session.InNamespace())
}
