package status

import (
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

func (d *dashboard) masters() {
	r := d.report
	if len(r.Masters) == 0 {
		return
	}
	d.raw("")
	inPods := slices.ContainsFunc(r.Masters, func(m report.Master) bool { return m.Pod != nil })
	t := printer.Table{Wide: d.wide}
	var cells []func(m report.Master) string
	column := func(c printer.Column, cell func(m report.Master) string) {
		t.Columns, cells = append(t.Columns, c), append(cells, cell)
	}
	leader := r.Leader()
	column(printer.Column{Title: "Masters"}, func(m report.Master) string { return d.named(markOfMaster(m), m.Name) })
	column(printer.Column{Title: "ROLE"}, roleOrState)
	column(printer.Column{Title: "TERM", Right: true, Drop: 1}, ifReachable(func(m report.Master) string { return printer.Count(m.Term) }))
	if r.MemberViews || !inPods {
		column(printer.Column{Title: "COMMIT", Right: true, Drop: 1}, ifReachable(func(m report.Master) string { return printer.Count(m.CommitIndex) }))
		column(printer.Column{Title: "LAG", Right: true}, ifReachable(func(m report.Master) string { return lag(m, leader) }))
		column(printer.Column{Title: "CONTACT", Right: true, Drop: 3}, ifReachable(func(m report.Master) string { return seconds(m.ContactSeconds) }))
		column(printer.Column{Title: "FSYNC p99", Right: true, Drop: 2}, ifReachable(func(m report.Master) string { return seconds(m.FsyncP99Seconds) }))
	}
	if inPods {
		column(printer.Column{Title: "VOTES", Drop: 3}, ifReachable(func(m report.Master) string { return pick(m.Voter, "yes", "no") }))
		column(printer.Column{Title: "NODE", Drop: 4}, inPod(func(p *report.Pod) string { return orNone(p.Node) }))
		column(printer.Column{Title: "RESTARTS", Right: true, Drop: 5}, inPod(func(p *report.Pod) string { return printer.Count(uint64(max(0, p.Restarts))) }))
	} else {
		column(printer.Column{Title: "ADDRESS", Drop: 4}, func(m report.Master) string { return m.Address })
	}
	column(printer.Column{Title: "AGE", Right: true, Drop: 1}, func(m report.Master) string { return d.masterAge(m) })
	for _, m := range r.Masters {
		row := make([]string, len(cells))
		for i, cell := range cells {
			row[i] = cell(m)
		}
		t.Add(row...)
	}
	d.table(t)
}

func markOfMaster(m report.Master) iostreams.Mark {
	switch {
	case m.Error != "":
		return iostreams.Bad
	case !m.Ready || !m.Voter:
		return iostreams.Warn
	}
	return iostreams.Good
}

// roleOrState returns the role of a master, or the state of its pod when it is
// unreachable.
func roleOrState(m report.Master) string {
	switch {
	case m.Error != "" && m.Pod != nil && !m.Pod.Ready:
		return m.Pod.State
	case m.Error != "":
		return "unreachable"
	}
	return role(m)
}

func ifReachable(cell func(report.Master) string) func(report.Master) string {
	return func(m report.Master) string {
		if m.Error != "" {
			return printer.None
		}
		return cell(m)
	}
}

// inPod returns a cell about the pod, which may not exist.
func inPod(cell func(*report.Pod) string) func(report.Master) string {
	return func(m report.Master) string {
		if m.Pod == nil {
			return printer.None
		}
		return cell(m.Pod)
	}
}

func (d *dashboard) masterAge(m report.Master) string {
	since := m.Started
	if m.Pod != nil && m.Pod.Created != nil {
		since = m.Pod.Created
	}
	switch {
	case m.Error != "" && m.Pod == nil:
		return printer.None
	case since == nil:
		return pick(m.Pod != nil, printer.None, printer.Unknown)
	}
	return printer.Age(since.Time, d.report.Collected.Time)
}

func role(m report.Master) string {
	role := strings.ToLower(m.State)
	if !m.Voter && m.State == "FOLLOWER" {
		return "learner"
	}
	return role
}

// lag returns how many entries a master is behind the commit index of the leader.
func lag(m report.Master, leader *report.Master) string {
	switch {
	case leader == nil:
		return printer.Unknown
	case m.Name == leader.Name:
		return printer.None
	case m.AppliedIndex >= leader.CommitIndex:
		return "0"
	}
	return printer.Count(leader.CommitIndex - m.AppliedIndex)
}
