package status

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// sortKeys are the values of --sort-by.
func sortKeys() []string { return []string{"name", "health", "cached", "hit", "workers", "age"} }

// order sorts the rows. Rows that compare equal keep the order of their names.
// Figures are sorted from large to small, health from bad to good.
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
	if hit := hitRatio(&r.Cache); hit != nil {
		return *hit
	}
	return -1
}

func older(a, b report.Runtime) int {
	switch {
	case a.Created == nil || b.Created == nil:
		return 0
	}
	return a.Created.Compare(b.Created.Time)
}

// nothing returns the message for an empty list.
func (o *options) nothing() string {
	switch {
	case o.session.Local:
		return fmt.Sprintf("nothing runs on this machine in namespace %q; \"%s local status\" lists stopped runtimes too", o.session.InNamespace(), o.session.Name)
	case o.allNamespaces:
		return "no Datasets or JindoRuntimes found in the cluster"
	}
	return fmt.Sprintf("no Datasets or JindoRuntimes found in namespace %q; -A lists all namespaces", o.session.InNamespace())
}
