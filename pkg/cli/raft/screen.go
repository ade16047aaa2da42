// Package raft provides the raft commands: each master's view of its group, and
// the transfer of leadership.
package raft

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

const (
	// slowFsync is the p99 of fsync, in seconds, above which a disk is reported as
	// slow.
	slowFsync = 0.010
	unknown   = "UNREACHABLE"
)

// Draw writes the screen of raft status. Lines are cut at the width of the screen,
// except sentences and with wide.
func Draw(w io.Writer, screen iostreams.Screen, r *report.Runtime, wide bool) error {
	var out strings.Builder
	evaluation := Evaluate(r)
	head(&out, r, evaluation)
	if err := members(&out, screen, r, wide); err != nil {
		return err
	}
	foot(&out, screen, r, evaluation)
	for line := range strings.Lines(out.String()) {
		text := strings.TrimRight(line, " \n")
		if !wide && !strings.HasPrefix(text, "x ") && !strings.HasPrefix(text, "! ") {
			text = screen.Cut(text)
		}
		if _, err := fmt.Fprintln(w, text); err != nil {
			return fmt.Errorf("write the screen: %w", err)
		}
	}
	return nil
}

func head(out *strings.Builder, r *report.Runtime, v Evaluation) {
	term, leader := "?", "none"
	if l := r.Leader(); l != nil {
		term, leader = printer.Count(l.Term), l.Name
		if l.LeaderSince != nil {
			leader += " for " + printer.Age(l.LeaderSince.Time, r.Collected.Time)
		}
	}
	fmt.Fprintf(out, "Group    %s/%s    term %s   leader %s   quorum %d/%d   %s\n",
		r.Namespace, r.Name, term, leader, v.Quorum, v.Voters, tolerates(v))
	configuration := uint64(0)
	for _, m := range r.Masters {
		configuration = max(configuration, m.ConfigurationIndex)
	}
	fmt.Fprintf(out, "Config   index %s   voters %d   non-voters %d\n", printer.Count(configuration), v.Voters, v.NonVoters)
	fmt.Fprintf(out, "Health   %s\n\n", Health(r))
}

// Health returns what the leader reports on the health of the group.
func Health(r *report.Runtime) string {
	h := r.GroupHealth()
	switch {
	case h == nil:
		return printer.None
	case h.Healthy:
		return fmt.Sprintf("yes   failure tolerance %d", h.FailureTolerance)
	}
	return fmt.Sprintf("no   failure tolerance %d   %s", h.FailureTolerance, h.Reason)
}

func tolerates(v Evaluation) string {
	left := v.Reachable - v.Quorum
	switch {
	case v.Voters == 0:
		return "no master reachable"
	case v.Health != nil:
		left = v.Health.FailureTolerance
	case left < 0:
		return "no quorum"
	}
	return "tolerates " + printer.Plural(left, "failure")
}

func members(out *strings.Builder, screen iostreams.Screen, r *report.Runtime, wide bool) error {
	t := printer.Table{Wide: wide, Columns: []printer.Column{
		{Title: " ID"},
		{Title: "MASTER"},
		{Title: "ADDRESS", Drop: 6},
		{Title: "STATE"},
		{Title: "SUFFRAGE", Drop: 4},
		{Title: "LAST LOG", Right: true, Drop: 5},
		{Title: "COMMIT", Right: true},
		{Title: "APPLIED", Right: true, Drop: 3},
		{Title: "BEHIND", Right: true},
		{Title: "CONTACT", Right: true, Drop: 2},
		{Title: "RTT", Right: true, Drop: 7},
		{Title: "SNAPSHOT", Right: true, Drop: 8},
		{Title: "STABLE", Right: true, Drop: 5},
		{Title: "FSYNC p99", Right: true, Drop: 1},
		{Title: "MEMBER", Wide: true},
	}}
	leader := r.Leader()
	for i, m := range r.Masters {
		t.Add(row(i, m, leader, r, screen)...)
	}
	return t.Write(out, screen)
}

func row(i int, m report.Master, leader *report.Master, r *report.Runtime, screen iostreams.Screen) []string {
	id := " " + strconv.Itoa(i+1)
	if leader != nil && m.Name == leader.Name {
		id = "*" + strconv.Itoa(i+1)
	}
	observed := r.Observed(m.Name)
	if m.Error != "" {
		cells := slices.Concat([]string{id, m.Name, m.RaftAddress, "unreachable"}, slices.Repeat([]string{printer.None}, 11))
		if observed != nil {
			// What the leader observes of a master that is unreachable from here.
			cells[9], cells[12] = seconds(observed.ContactSeconds), stable(observed, r)
			if observed.Behind != nil {
				cells[8] = printer.Count(*observed.Behind)
			}
		}
		return cells
	}
	suffrage := "Voter"
	if !m.Voter {
		suffrage = "Nonvoter"
	}
	snapshot := printer.None
	if m.SnapshotIndex > 0 {
		snapshot = printer.Count(m.SnapshotIndex)
		if m.SnapshotTime != nil {
			snapshot += " (" + printer.Age(m.SnapshotTime.Time, r.Collected.Time) + ")"
		}
	}
	fsync := seconds(m.FsyncP99Seconds)
	if m.FsyncP99Seconds != nil && *m.FsyncP99Seconds > slowFsync {
		fsync += " " + screen.Mark(iostreams.Warn)
	}
	return []string{
		id, m.Name, m.RaftAddress, title(m.State), suffrage, printer.Count(m.LastLogIndex), printer.Count(m.CommitIndex),
		printer.Count(m.AppliedIndex), behind(m, leader), seconds(m.ContactSeconds), seconds(m.RTTSeconds), snapshot,
		stable(observed, r), fsync, m.MemberID,
	}
}

// stable returns for how long the leader has observed a member to be caught up.
func stable(observed *report.Peer, r *report.Runtime) string {
	switch {
	case observed == nil || observed.Stable == nil:
		return printer.None
	case observed.CaughtUpSince == nil:
		return "no"
	}
	return printer.Age(observed.CaughtUpSince.Time, r.Collected.Time)
}

func behind(m report.Master, leader *report.Master) string {
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

func foot(out *strings.Builder, screen iostreams.Screen, r *report.Runtime, v Evaluation) {
	if l := r.Leader(); l != nil {
		fmt.Fprintf(out, "\nLog      %s entries (%s) since snapshot\n", printer.Count(l.LogEntries), printer.Bytes(l.LogBytes))
	} else {
		out.WriteString("\n")
	}
	fmt.Fprintf(out, "Digest   %s\n", v.Digest)
	fmt.Fprintf(out, "Verify   %s\n", LastVerification(r))
	scheduled(out, screen, r)
	for _, text := range v.Disagreements {
		fmt.Fprintf(out, "%s %s\n", screen.Mark(iostreams.Bad), text)
	}
	for _, m := range r.Masters {
		if m.FsyncP99Seconds != nil && *m.FsyncP99Seconds > slowFsync {
			fmt.Fprintf(out, "%s %s: fsync p99 %s > %s: a slow disk?\n", screen.Mark(iostreams.Warn), m.Name,
				printer.Seconds(*m.FsyncP99Seconds), printer.Seconds(slowFsync))
		}
	}
	for _, m := range r.Masters {
		if m.Error == "" && m.Reason != "" {
			fmt.Fprintf(out, "%s %s: %s\n", screen.Mark(iostreams.Warn), m.Name, m.Reason)
		}
	}
	var reasons []string
	silent := map[string][]string{}
	for _, m := range r.Masters {
		if m.Error == "" {
			continue
		}
		if silent[m.Error] == nil {
			reasons = append(reasons, m.Error)
		}
		silent[m.Error] = append(silent[m.Error], m.Name)
	}
	for _, reason := range reasons {
		fmt.Fprintf(out, "%s %s unreachable: %s\n", screen.Mark(iostreams.Warn), strings.Join(silent[reason], ", "), reason)
	}
}

// scheduled adds the newest scheduled snapshot, and why a later one failed.
func scheduled(out *strings.Builder, screen iostreams.Screen, r *report.Runtime) {
	l := r.Leader()
	if l == nil || l.Scheduled == nil {
		return
	}
	s := l.Scheduled
	if s.Time == nil {
		fmt.Fprintf(out, "Saved    never in mount %s\n", s.Mount)
	} else {
		fmt.Fprintf(out, "Saved    %s ago: %s in mount %s, index %s, %s\n", printer.Age(s.Time.Time, r.Collected.Time), s.Key, s.Mount, printer.Count(s.Index), printer.Bytes(max(s.Bytes, 0)))
	}
	if s.Error != "" {
		fmt.Fprintf(out, "%s %s since the last scheduled snapshot: %s\n", screen.Mark(iostreams.Warn), printer.Plural(s.Failures, "failed attempt"), s.Error)
	}
}

// LastVerification returns the result of the last verification that a master reports.
func LastVerification(r *report.Runtime) string {
	v := r.LastVerification()
	if v == nil {
		return printer.None
	}
	result := "all masters agree"
	switch v.Result {
	case report.VerifiedDifferent:
		result = "the masters DIFFER"
	case report.VerifiedIncomplete:
		result = "not compared: " + strings.Join(v.Failed, ", ")
	}
	if v.Last > 0 {
		result += fmt.Sprintf(", entries %s to %s", printer.Count(v.First), printer.Count(v.Last))
	}
	return printer.Age(v.Time.Time, r.Collected.Time) + " ago: " + result
}

func seconds(value *float64) string {
	if value == nil {
		return printer.None
	}
	return printer.Seconds(*value)
}

func title(state string) string {
	if state == "" {
		return printer.Unknown
	}
	return state[:1] + strings.ToLower(state[1:])
}

// DrawJindo writes the block that `jindo jfs -metaStatus -detail` prints: a
// paragraph for each master. resolve returns the address of a host name.
func DrawJindo(w io.Writer, masters []report.Master, resolve func(host string) string) error {
	for i, m := range masters {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return fmt.Errorf("write the block: %w", err)
			}
		}
		if _, err := fmt.Fprintf(w, "==== %s:%s ====\npeer_id: %s:0\nstate: %s\n", m.Name, port(m.Address), peer(m, resolve), jindoState(m)); err != nil {
			return fmt.Errorf("write the block: %w", err)
		}
	}
	return nil
}

func port(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "18004"
	}
	return port
}

// peer returns the IP:port of a master's Raft traffic.
func peer(m report.Master, resolve func(string) string) string {
	host, port, err := net.SplitHostPort(m.RaftAddress)
	if err != nil {
		return m.RaftAddress
	}
	return net.JoinHostPort(resolve(host), port)
}

func jindoState(m report.Master) string {
	if m.Error != "" || m.State == "" {
		return unknown
	}
	return m.State
}
