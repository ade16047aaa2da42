// Package health interprets the status of Datasets, JindoRuntimes and DataLoads
// and of the pods, nodes, claims and volumes below them. Controllers, webhook and
// command line use it, so that they agree on what a condition means.
//
// Every function is pure: the result depends on the object only, never on the
// time or on another object. The package imports the API types only.
package health

import (
	"cmp"
	"slices"
	"strings"
)

// Level is the overall state of one object.
type Level string

// Levels of an object.
const (
	// Ready is the level of an object that works.
	Ready Level = "Ready"
	// Pending is the level of an object that is not ready and may become so
	// without help.
	Pending Level = "Pending"
	// Failed is the level of an object that needs help.
	Failed Level = "Failed"
)

// Severity ranks findings. A greater value is worse.
type Severity int

// Severities of a finding.
const (
	// Info needs no attention.
	Info Severity = iota
	// Note is worth showing, and leaves the object healthy.
	Note
	// Waiting keeps the object from being ready until something else happens.
	Waiting
	// Problem needs attention, and may clear without a change of the spec.
	Problem
	// Fatal stays until the spec or the namespace is changed.
	Fatal
)

// Cause classifies a finding by what it is about, from which callers derive the
// command that helps.
type Cause string

// Causes of findings.
const (
	CauseNone        Cause = ""
	CauseSpec        Cause = "Spec"        // the spec is invalid
	CauseBinding     Cause = "Binding"     // Dataset and runtime are not bound
	CauseCredentials Cause = "Credentials" // a Secret, or a key of it, is missing
	CauseMounts      Cause = "Mounts"      // a mount has no driver, or is not in place yet
	CauseStore       Cause = "Store"       // the object store refuses or is unreachable
	CausePlacement   Cause = "Placement"   // pods cannot be scheduled or created
	CausePodSecurity Cause = "PodSecurity" // the namespace forbids the pods
	CauseVolume      Cause = "Volume"      // the Dataset's claim or volume
	CauseMembers     Cause = "Members"     // masters, workers or FUSE servers are not ready
	CauseChange      Cause = "Change"      // a change of the spec is not applied
	CauseDeletion    Cause = "Deletion"    // the deletion waits
	CauseController  Cause = "Controller"  // the controller failed, or has not run
)

// Finding is what one condition reports.
type Finding struct {
	// Condition is the type of the condition.
	Condition string
	// Reason is the reason of the condition.
	Reason   string
	Severity Severity
	Cause    Cause
	// Message is one line; it is the type of a condition without a message.
	Message string
	// Summary is true for the condition Ready, which repeats the causes that
	// other conditions report.
	Summary bool
}

// Result is the interpretation of one object's status.
type Result struct {
	Level Level
	// State is a word for a table: the phase, or Ready and NotReady.
	State string
	// Observed is true when a controller has written a status.
	Observed bool
	// Current is true when the status is about the present generation.
	Current bool
	// Starting is true for a JindoRuntime that has not been ready so far.
	Starting bool
	// Terminating is true while the object is being deleted.
	Terminating bool
	// Findings are ordered by severity, the worst first; a summary follows what
	// it sums up. Findings of severity Info are left out.
	Findings []Finding
	// ready is the message of the condition Ready, of any status.
	ready string
}

// Worst returns the worst finding that is at least as severe as least.
func (r *Result) Worst(least Severity) (Finding, bool) {
	if len(r.Findings) == 0 || r.Findings[0].Severity < least {
		return Finding{}, false
	}
	return r.Findings[0], true
}

// Message returns the sentence that explains the state: that of the worst finding
// that keeps the object from being ready, or else that of the condition Ready.
func (r *Result) Message() string {
	if f, found := r.Worst(Waiting); found {
		return f.Message
	}
	return r.ready
}

// Find returns the finding of a condition.
func (r *Result) Find(condition string) (Finding, bool) {
	for _, f := range r.Findings {
		if f.Condition == condition {
			return f, true
		}
	}
	return Finding{}, false
}

// FindCause returns the worst finding with one of the causes.
func (r *Result) FindCause(causes ...Cause) (Finding, bool) {
	for _, f := range r.Findings {
		if slices.Contains(causes, f.Cause) {
			return f, true
		}
	}
	return Finding{}, false
}

func (r *Result) add(f Finding) {
	if f.Summary {
		r.ready = f.Message
	}
	if f.Severity > Info {
		r.Findings = append(r.Findings, f)
	}
}

func (r *Result) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		if c := cmp.Compare(b.Severity, a.Severity); c != 0 {
			return c
		}
		return boolToInt(a.Summary) - boolToInt(b.Summary)
	})
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// oneLine joins the lines of a message.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
