package report

import (
	"fmt"
	"strings"
)

// FailureSummary returns a sentence about the unreachable targets, grouped by
// reason, or "" if there is none.
func FailureSummary(failures []Failure, targets int) string {
	if len(failures) == 0 {
		return ""
	}
	var reasons []string
	named := map[string][]string{}
	for _, f := range failures {
		if named[f.Error] == nil {
			reasons = append(reasons, f.Error)
		}
		named[f.Error] = append(named[f.Error], f.Target)
	}
	groups := make([]string, len(reasons))
	for i, reason := range reasons {
		groups[i] = fmt.Sprintf("%s (%s)", strings.Join(named[reason], ", "), reason)
	}
	return fmt.Sprintf("%d of %d targets unreachable: %s", len(failures), targets, strings.Join(groups, "; "))
}

// Unexplained returns the failures of members whose pods are ready; the problems of
// the report include the others.
func (r *Runtime) Unexplained() []Failure {
	unready := map[string]bool{}
	note := func(name string, pod *Pod) {
		if pod != nil && !pod.Ready {
			unready[name] = true
		}
	}
	for _, m := range r.Masters {
		note(m.Name, m.Pod)
	}
	for _, w := range r.Workers {
		note(w.Name, w.Pod)
	}
	var rest []Failure
	for _, f := range r.Failures {
		if !unready[f.Target] {
			rest = append(rest, f)
		}
	}
	return rest
}
