// Package status implements the status command, which prints one runtime as a
// dashboard and several as a row each.
package status

import (
	"fmt"
	"io"
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
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
	d.kernel()
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
		size = counted(*r.Dataset.Objects, *r.Dataset.Bytes, r.Dataset.AtLeast)
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

func (d *dashboard) size(m report.Mount) string {
	if m.Objects == nil || m.Bytes == nil {
		return ""
	}
	text := counted(*m.Objects, *m.Bytes, m.AtLeast)
	if m.Hidden > 0 {
		text += ", " + printer.Plural(int(m.Hidden), "hidden key")
	}
	return text
}

// counted formats the totals of a store, which may be lower bounds.
func counted(objects, bytes int64, atLeast bool) string {
	return pick(atLeast, "at least ", "") + printer.Plural(int(objects), "object") + ", " + printer.Bytes(max(0, bytes))
}

func orNone(text string) string { return pick(text != "", text, printer.None) }

func (d *dashboard) named(mark iostreams.Mark, name string) string {
	return "  " + d.screen.Mark(mark) + " " + name
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
