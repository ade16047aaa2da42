package report

import (
	"fmt"
	"strings"
)

// Unanswered is the sentence about targets that did not answer; each reason is
// said once. It is empty when all did.
func Unanswered(failures []Failure, targets int) string {
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
	return fmt.Sprintf("%d of %d targets did not answer: %s", len(failures), targets, strings.Join(groups, "; "))
}

// Unexplained are the failures that no pod's state explains: of the others the
// problems tell already.
func (r *Runtime) Unexplained() []Failure {
	ill := map[string]bool{}
	note := func(name string, pod *Pod) {
		if pod != nil && !pod.Ready {
			ill[name] = true
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
		if !ill[f.Target] {
			rest = append(rest, f)
		}
	}
	return rest
}
