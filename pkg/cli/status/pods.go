package status

import (
	"fmt"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

// shownEvents is how many events are printed.
const shownEvents = 5

// consumers prints the pods that mount the Dataset and the FUSE servers they read
// from.
func (d *dashboard) consumers() {
	r := d.report
	if r.Unserved && len(r.Consumers) == 0 {
		return
	}
	ready := 0
	var troubled []string
	for _, f := range r.Fuses {
		if f.Ready {
			ready++
			continue
		}
		troubled = append(troubled, d.screen.Mark(iostreams.Bad)+" "+f.Name+stateSuffix(f.Pod))
	}
	d.line("Mounts", join("   ", d.used(), fmt.Sprintf("FUSE servers %d/%d ready", ready, len(r.Fuses)), strings.Join(troubled, "  ")))
	if refused := d.refused(); refused != "" {
		d.line("", d.screen.Mark(iostreams.Bad)+" "+refused+": mounts serve cached data only")
	}
	var waiting []string
	for _, c := range r.Consumers {
		if !c.Ready {
			waiting = append(waiting, d.screen.Mark(iostreams.Warn)+" "+c.Name+stateSuffix(&c.Pod))
		}
	}
	const shown = 3
	if more := len(waiting) - shown; more > 0 {
		waiting = append(waiting[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	if len(waiting) > 0 {
		d.line("", strings.Join(waiting, "  "))
	}
}

// used returns how many pods mount the Dataset, on how many nodes and how.
func (d *dashboard) used() string {
	nodes, sidecars := map[string]bool{}, 0
	for _, c := range d.report.Consumers {
		nodes[c.Node] = true
		if c.Via == "sidecar" {
			sidecars++
		}
	}
	all := len(d.report.Consumers)
	switch {
	case all == 0:
		return "no pod mounts it"
	case sidecars == 0 || sidecars == all:
		return fmt.Sprintf("%s, %s   by %s", printer.Plural(all, "pod"), printer.Plural(len(nodes), "node"), d.report.Consumers[0].Via)
	}
	return fmt.Sprintf("%s, %s   %d sidecar %s %d csi", printer.Plural(all, "pod"), printer.Plural(len(nodes), "node"), sidecars, d.screen.Dot(), all-sidecars)
}

func (d *dashboard) notes() {
	for i, note := range d.report.Notes {
		d.wrapped(fmt.Sprintf("%-*s", label, pick(i == 0, "Notes", "")), note, label)
	}
}

// recent prints events.
func (d *dashboard) recent() {
	events := d.shown()
	if len(events) == 0 {
		return
	}
	d.raw("")
	kind, reason := 0, 0
	for _, e := range events {
		kind, reason = max(kind, len(e.Type)), max(reason, len(e.Reason))
	}
	for i, e := range events {
		age := printer.Unknown
		if e.Time != nil {
			age = printer.Age(e.Time.Time, d.report.Collected.Time)
		}
		_, name, _ := strings.Cut(e.Object, "/")
		d.line(pick(i == 0, "Recent", ""), fmt.Sprintf("%-5s %-*s  %-*s  %s: %s", age, kind, e.Type, reason, e.Reason, name, e.Message))
	}
}

// shown returns the newest warnings that are not resolved, and when the runtime is
// healthy or there are none, the newest other events.
func (d *dashboard) shown() []report.Event {
	var events []report.Event
	for _, warning := range []bool{true, false} {
		for _, e := range d.report.Events {
			if (e.Type == "Warning") == warning && !e.Resolved && len(events) < shownEvents {
				events = append(events, e)
			}
		}
		if len(events) > 0 && warning && d.report.Health != report.Healthy {
			break
		}
	}
	return events
}
