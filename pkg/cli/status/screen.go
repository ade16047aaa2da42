// Package status implements the status command, which prints one runtime as a
// dashboard and several as a row each.
package status

import (
	"fmt"
	"io"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/printer"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

// label is the width of the first column of the dashboard, in characters.
const label = 10

// narrow is the width in columns below which less is printed on a line.
const narrow = 100

// dashboard prints one runtime. The first error of the writer is kept in err, and
// nothing is printed after it.
type dashboard struct {
	out    io.Writer
	screen iostreams.Screen
	report *report.Runtime
	wide   bool
	err    error
}

// Draw prints the dashboard of one runtime. With wide nothing is truncated, and every
// worker has a row.
func Draw(w io.Writer, screen iostreams.Screen, r *report.Runtime, wide bool) error {
	d := &dashboard{out: w, screen: screen, report: r, wide: wide}
	d.head()
	d.masters()
	d.cache()
	d.workers()
	d.fuses()
	d.traffic()
	d.notes()
	d.recent()
	d.next()
	return d.err
}

func (d *dashboard) line(name, text string) {
	d.raw(fmt.Sprintf("%-*s%s", label, name, text))
}

func (d *dashboard) raw(text string) {
	if d.err != nil {
		return
	}
	if !d.wide {
		text = d.screen.Cut(text)
	}
	if _, err := fmt.Fprintln(d.out, strings.TrimRight(text, " ")); err != nil {
		d.err = fmt.Errorf("write status: %w", err)
	}
}

// wrapped prints a text of which nothing may be lost. Lines after the first are
// indented by that many columns.
func (d *dashboard) wrapped(head, text string, indent int) {
	for i, line := range d.wrap(text, indent) {
		if i > 0 {
			head = strings.Repeat(" ", indent)
		}
		d.raw(head + line)
	}
}

func (d *dashboard) wrap(text string, indent int) []string {
	if d.wide {
		return []string{text}
	}
	return d.screen.Wrap(text, indent)
}

// whole prints a line that is not truncated, so that it can be copied.
func (d *dashboard) whole(name, text string) {
	if d.err != nil {
		return
	}
	if _, err := fmt.Fprintf(d.out, "%-*s%s\n", label, name, text); err != nil {
		d.err = fmt.Errorf("write status: %w", err)
	}
}

func (d *dashboard) table(t printer.Table) {
	if d.err == nil {
		d.err = t.Write(d.out, d.screen)
	}
}

func (d *dashboard) head() {
	r := d.report
	if r.Dataset.Name == "" {
		d.line("Dataset", "none is bound to this runtime")
		if r.Dataset.Message != "" {
			d.wrapped(strings.Repeat(" ", label), r.Dataset.Message, label)
		}
	}
	for i, m := range r.Mounts {
		name := ""
		if i == 0 && r.Dataset.Name != "" {
			name = fmt.Sprintf("%s/%s   ", r.Namespace, r.Dataset.Name)
		}
		d.line(pick(i == 0 && name != "", "Dataset", ""),
			join("   ", fmt.Sprintf("%s%s %s %s   %s", name, m.URI, d.screen.Arrow(), m.Path, v1alpha1.ServedAccess(m.ReadOnly)), d.size(m), pick(i == 0, d.bound(), "")))
	}
	if r.Dataset.Name != "" && len(r.Mounts) == 0 {
		d.line("Dataset", fmt.Sprintf("%s/%s   %s   no mount has been reported yet", r.Namespace, r.Dataset.Name, r.Dataset.Phase))
	}
	if r.Unserved {
		d.line("Runtime", "none serves this Dataset")
	} else {
		d.line("Runtime", join("   ", r.Namespace+"/"+r.Name, r.Version, strings.Join(d.parts(), " "+d.screen.Dot()+" "), r.Where))
	}
	d.health()
}

// bound returns the size, phase and age of the Dataset as the cluster reports them.
func (d *dashboard) bound() string {
	r := d.report
	if r.Created == nil || r.Dataset.Name == "" {
		return ""
	}
	size := ""
	if r.Dataset.Objects != nil && r.Dataset.Bytes != nil && r.Mounts[0].Bytes == nil {
		size = fmt.Sprintf("%s objects, %s", printer.Count(uint64(max(0, *r.Dataset.Objects))), printer.Bytes(max(0, *r.Dataset.Bytes)))
	}
	return join("   ", size, r.Dataset.Phase+" "+printer.Age(r.Created.Time, r.Collected.Time))
}

// parts returns the number of each kind of member.
func (d *dashboard) parts() []string {
	r := d.report
	parts := []string{printer.Plural(len(r.Masters), "master"), printer.Plural(len(r.Workers), "worker")}
	if r.Created == nil {
		return append(parts, printer.Plural(len(r.Fuses), "mount point"))
	}
	return append(parts, "FUSE on "+printer.Plural(len(r.Fuses), "node"))
}

// health prints the health and every problem, the cause first. Problems are wrapped
// and not truncated: the part that explains one is often at its end.
func (d *dashboard) health() {
	const healthWidth = 15
	r := d.report
	text := d.screen.Mark(markOf(r.Health)) + " " + string(r.Health)
	if len(r.Problems) == 0 {
		d.line("Health", text)
		return
	}
	indent := label + healthWidth
	head := fmt.Sprintf("%-*s%s%s", label, "Health", text, strings.Repeat(" ", healthWidth-iostreams.Width(text)))
	if d.screen.Width > 0 && d.screen.Width < narrow {
		// The problems start a line of their own, where there is room for them.
		d.line("Health", text)
		indent = label
		head = strings.Repeat(" ", indent)
	}
	for _, problem := range r.Problems {
		d.wrapped(head, problem, indent)
		head = strings.Repeat(" ", indent)
	}
}

func (d *dashboard) size(m report.Mount) string {
	if m.Objects == nil || m.Bytes == nil {
		return ""
	}
	return fmt.Sprintf("%s objects, %s", printer.Count(uint64(max(0, *m.Objects))), printer.Bytes(max(0, *m.Bytes)))
}

func orNone(text string) string { return pick(text != "", text, printer.None) }

func (d *dashboard) named(mark iostreams.Mark, name string) string {
	return "  " + d.screen.Mark(mark) + " " + name
}

func (d *dashboard) cache() {
	r := d.report
	if len(r.Workers) == 0 {
		return
	}
	d.raw("")
	d.line("Cache", d.hot())
	if c := r.Cache; len(c.Tiers) == 0 && c.Capacity > 0 {
		share := float64(c.Used) / float64(c.Capacity)
		d.line("  full", fmt.Sprintf("%s  %6s   %s of %s", d.screen.Bar(share, d.barWidth()), printer.Percent(share), printer.Bytes(c.Used), printer.Bytes(c.Capacity)))
	}
	for _, tier := range r.Cache.Tiers {
		share := 0.0
		if tier.Capacity > 0 {
			share = float64(tier.Used) / float64(tier.Capacity)
		}
		d.line("  "+tier.Medium, fmt.Sprintf("%s  %6s   %s of %s   %s files",
			d.screen.Bar(share, d.barWidth()), printer.Percent(share), printer.Bytes(tier.Used), printer.Bytes(tier.Capacity), printer.Count(tier.Files)))
	}
}

// hot compares the cached bytes with the bytes of the store.
func (d *dashboard) hot() string {
	total := d.inStore()
	if total <= 0 {
		return join(" of ", printer.Bytes(d.report.Cache.Used)+" cached", pick(len(d.report.Cache.Tiers) == 0 && d.report.Cache.Capacity > 0, printer.Bytes(d.report.Cache.Capacity), ""))
	}
	// Cached files take a little more space than the objects they hold.
	cached := min(d.report.Cache.Used, uint64(total))
	share := float64(cached) / float64(total)
	return fmt.Sprintf("%s  %6s   %s of %s hot", d.screen.Bar(share, d.barWidth()), printer.Percent(share),
		printer.Bytes(cached), printer.Bytes(total))
}

// inStore returns the bytes of all mounts, or 0 while they are unknown.
func (d *dashboard) inStore() int64 {
	var total int64
	for _, m := range d.report.Mounts {
		if m.Bytes == nil {
			if d.report.Dataset.Bytes != nil {
				return *d.report.Dataset.Bytes
			}
			return 0
		}
		total += *m.Bytes
	}
	return total
}

func (d *dashboard) barWidth() int {
	if d.screen.Width > 0 && d.screen.Width < narrow {
		return 20
	}
	return 38
}

func (d *dashboard) workers() {
	r := d.report
	if len(r.Workers) == 0 {
		return
	}
	live := 0
	var troubled []string
	for _, w := range r.Workers {
		if w.Error == "" {
			live++
			continue
		}
		troubled = append(troubled, d.screen.Mark(iostreams.Bad)+" "+w.Name+stateSuffix(w.Pod))
	}
	d.line("Workers", join("   ", fmt.Sprintf("%d/%d %s", live, len(r.Workers), pick(r.Workers[0].Pod != nil, "ready", "live")), strings.Join(troubled, "  ")))
	if d.wide {
		d.workerTable()
	}
}

// stateSuffix returns the state of a pod that is not ready, in parentheses.
func stateSuffix(pod *report.Pod) string {
	if pod == nil || pod.Ready {
		return ""
	}
	return " (" + pod.State + ")"
}

func (d *dashboard) workerTable() {
	t := printer.Table{Wide: true, Indent: "  ", Columns: []printer.Column{
		{Title: "WORKER"},
		{Title: "ADDRESS"},
		{Title: "USED", Right: true},
		{Title: "CAPACITY", Right: true},
		{Title: "HIT", Right: true},
		{Title: "MISS", Right: true},
		{Title: "STORE", Right: true},
		{Title: "RING", Right: true},
	}}
	for _, w := range d.report.Workers {
		var used, capacity uint64
		for _, tier := range w.Tiers {
			used, capacity = used+tier.Used, capacity+tier.Capacity
		}
		t.Add(w.Name, w.Address, printer.Bytes(used), printer.Bytes(capacity), printer.Bytes(w.HitBytes),
			printer.Bytes(w.MissBytes), printer.Bytes(w.StoreBytes), printer.Count(w.RingEpoch))
	}
	d.table(t)
}

func (d *dashboard) fuses() {
	if d.report.Created != nil {
		d.consumers()
		return
	}
	for i, f := range d.report.Fuses {
		mark, text := iostreams.Good, "serving"
		switch {
		case !f.Ready:
			mark, text = iostreams.Bad, pick(f.Error != "", f.Error, "not serving")
		case d.refused() != "":
			mark, text = iostreams.Bad, "serving cached data only: "+d.refused()
		}
		if f.Starts > 1 {
			text += fmt.Sprintf(" (started %d times)", f.Starts)
		}
		if mark == iostreams.Good {
			d.line(pick(i == 0, "Mounts", ""), fmt.Sprintf("%s %s   %s", d.screen.Mark(mark), f.Mountpoint, text))
			continue
		}
		d.wrapped(fmt.Sprintf("%-*s%s ", label, pick(i == 0, "Mounts", ""), d.screen.Mark(mark)), f.Mountpoint+": "+text, label+2)
	}
}

func (d *dashboard) traffic() {
	c := d.report.Cache
	if len(d.report.Workers) == 0 {
		return
	}
	if !d.report.Asked && d.report.Created != nil {
		if c.HitRatio != nil {
			d.line("I/O", fmt.Sprintf("hit %s since the workers started", printer.Percent(*c.HitRatio)))
		}
		return
	}
	if c.HitRatio == nil {
		d.line("I/O", fmt.Sprintf("nothing read yet   %s from the store", printer.Bytes(c.StoreBytes)))
		return
	}
	name := "I/O"
	if recent := recentReads(&c); recent != "" {
		d.line(name, recent)
		name = ""
	}
	d.line(name, fmt.Sprintf("hit %s of %s since start   %s from the store",
		printer.Percent(*c.HitRatio), printer.Bytes(c.HitBytes+c.MissBytes), printer.Bytes(c.StoreBytes)))
}

// recentReads returns the hit ratio of the last minutes, which the total hides on
// a cache that has been filled since; "" when the workers do not report it.
func recentReads(c *report.Cache) string {
	if c.RecentSeconds <= 0 {
		return ""
	}
	window := printer.Seconds(c.RecentSeconds)
	if c.RecentHitRatio == nil {
		return "no reads in the last " + window
	}
	return fmt.Sprintf("hit %s of %s in the last %s", printer.Percent(*c.RecentHitRatio), printer.Bytes(c.RecentHitBytes+c.RecentMissBytes), window)
}

// refused names the mounts whose store fails, or the cause that the controllers
// report; "" when every store can be read.
func (d *dashboard) refused() string {
	var paths []string
	for _, m := range d.report.Mounts {
		if m.Error != "" {
			paths = append(paths, m.Path)
		}
	}
	switch {
	case len(paths) > 0:
		return "the store of " + strings.Join(paths, ", ") + " fails"
	case d.report.Cause == string(health.CauseStore):
		return "the store fails"
	case d.report.Cause == string(health.CauseCredentials):
		return "the credentials are missing"
	}
	return ""
}

func (d *dashboard) next() {
	r := d.report
	if r.Next != "" {
		d.raw("")
		d.whole("Next", r.Next)
	}
	failures := r.Unexplained()
	if len(failures) == 0 {
		return
	}
	if r.Next == "" {
		d.raw("")
	}
	// This line is not truncated, so that it can be copied.
	if d.err == nil {
		_, d.err = fmt.Fprintln(d.out, report.Unanswered(failures, r.Targets))
	}
}

func markOf(h report.Health) iostreams.Mark {
	switch h {
	case report.Healthy:
		return iostreams.Good
	case report.Unavailable, report.Stopped:
		return iostreams.Bad
	case report.Starting, report.Degraded:
	}
	return iostreams.Warn
}

func seconds(value *float64) string {
	if value == nil {
		return printer.None
	}
	return printer.Seconds(*value)
}

func pick(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

// join joins the parts that are not empty.
func join(separator string, parts ...string) string {
	kept := parts[:0:0]
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, separator)
}
