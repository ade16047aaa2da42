package status

import (
	"fmt"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

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
		_, d.err = fmt.Fprintln(d.out, report.FailureSummary(failures, r.Targets))
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
