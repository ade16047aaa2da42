package status

import (
	"fmt"
	"io"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

// RowOptions are the options of DrawRows.
type RowOptions struct {
	Wide       bool
	NoHeaders  bool
	Namespaces bool
}

// DrawRows prints one row for each runtime, and below them the targets that did not
// respond.
func DrawRows(w io.Writer, screen iostreams.Screen, reports []report.Runtime, o RowOptions) error {
	t := printer.Table{Wide: o.Wide, NoHeaders: o.NoHeaders, Columns: []printer.Column{
		{Title: "NAME"},
		{Title: "DATASET", Drop: 5},
		{Title: "PHASE", Drop: 7},
		{Title: "HEALTH"},
		{Title: "CACHED", Right: true, Drop: 3},
		{Title: "HIT", Right: true, Drop: 4},
		{Title: "WORKERS", Right: true, Drop: 1},
		{Title: "MASTERS", Right: true},
		{Title: "MOUNTS", Right: true, Drop: 2},
		{Title: "AGE", Right: true, Drop: 6},
		{Title: "WHERE", Wide: true},
	}}
	if o.Namespaces {
		t.Columns = append([]printer.Column{{Title: "NAMESPACE"}}, t.Columns...)
	}
	var failures []report.Failure
	targets := 0
	for _, r := range reports {
		cells := row(screen, r)
		if o.Namespaces {
			cells = append([]string{r.Namespace}, cells...)
		}
		t.Add(cells...)
		targets += r.Targets
		failures = append(failures, r.Failures...)
	}
	if err := t.Write(w, screen); err != nil {
		return err
	}
	if len(failures) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, report.FailureSummary(failures, targets))
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

func row(screen iostreams.Screen, r report.Runtime) []string {
	hit := printer.None
	if ratio := hitRatio(&r.Cache); ratio != nil {
		hit = printer.Percent(*ratio)
	}
	dataset := r.Dataset.Name
	if dataset == "" {
		dataset = printer.None
	}
	name := r.Name
	if r.Unserved {
		name = printer.None
	}
	return []string{
		name, dataset, orNone(r.Dataset.Phase), screen.Mark(markOf(r.Health)) + " " + string(r.Health), printer.Bytes(r.Cache.Used), hit,
		part(len(r.Workers), func(i int) bool { return r.Workers[i].Error == "" }),
		part(len(r.Masters), func(i int) bool { return r.Masters[i].Error == "" }),
		mounted(r),
		age(r), r.Where,
	}
}

// hitRatio returns the ratio of the last minutes, or else the total; nil when
// nothing was read.
func hitRatio(c *report.Cache) *float64 {
	if c.RecentHitRatio != nil {
		return c.RecentHitRatio
	}
	return c.HitRatio
}

// mounted returns the number of pods that mount the Dataset in a cluster, and that
// of ready mount points on one machine.
func mounted(r report.Runtime) string {
	if r.Created != nil {
		return strconv.Itoa(len(r.Consumers))
	}
	return part(len(r.Fuses), func(i int) bool { return r.Fuses[i].Ready })
}

// part returns how many of n are well: "2/3".
func part(n int, well func(int) bool) string {
	if n == 0 {
		return printer.None
	}
	count := 0
	for i := range n {
		if well(i) {
			count++
		}
	}
	return fmt.Sprintf("%d/%d", count, n)
}

// age returns the age of the runtime; on one machine that of its oldest member.
func age(r report.Runtime) string {
	if r.Created != nil {
		return printer.Age(r.Created.Time, r.Collected.Time)
	}
	var first *metav1.Time
	consider := func(t *metav1.Time) {
		if t != nil && (first == nil || t.Before(first)) {
			first = t
		}
	}
	for _, m := range r.Masters {
		consider(m.Started)
	}
	for _, w := range r.Workers {
		consider(w.Started)
	}
	if first == nil {
		return printer.None
	}
	return printer.Age(first.Time, r.Collected.Time)
}
