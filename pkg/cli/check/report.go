package check

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// CheckReportKind is the kind of what `check -o json` prints.
const CheckReportKind = "CheckReport"

// State is the result of one check.
type State string

// States of a check.
const (
	Passed  State = "Passed"
	Warning State = "Warning"
	Failed  State = "Failed"
	Skipped State = "Skipped"
)

// CheckReport is what `check -o json` prints.
//
// +kubebuilder:object:root=true
type CheckReport struct { //nolint:revive // the kind's name in JSON
	metav1.TypeMeta `json:",inline"`
	// Collected is when the checks began.
	Collected metav1.Time `json:"collected"`
	// Healthy reports whether no check failed.
	Healthy bool `json:"healthy"`
	// Passed counts checks that passed.
	Passed int `json:"passed"`
	// Warnings counts checks that found a possible problem.
	Warnings int `json:"warnings"`
	// Failed counts checks that found a failure.
	Failed int `json:"failed"`
	// Skipped counts checks that could not run.
	Skipped int `json:"skipped"`
	// Checks in the order of the screen.
	Checks []Result `json:"checks"`
}

// Result is the result of one check.
//
// +kubebuilder:object:generate=true
type Result struct {
	// Category that the check belongs to: kubernetes, permissions, install,
	// webhook, dataset/NAME.
	Category string `json:"category"`
	// Name of the check, and the heading in docs/checks.md that explains it.
	Name string `json:"name"`
	// State is the result.
	State State `json:"state"`
	// Message is what was found, or why the check was skipped.
	Message string `json:"message"`
	// See is the URL of the explanation and the remedy.
	See string `json:"see"`
	// Seconds is the duration of the check.
	Seconds float64 `json:"seconds"`
}

var _ runtime.Object = (*CheckReport)(nil)

func newReport(now time.Time, results []Result) *CheckReport {
	r := &CheckReport{
		TypeMeta:  metav1.TypeMeta{APIVersion: report.APIVersion, Kind: CheckReportKind},
		Collected: metav1.NewTime(now.UTC()), Checks: results,
	}
	for _, result := range results {
		switch result.State {
		case Passed:
			r.Passed++
		case Warning:
			r.Warnings++
		case Failed:
			r.Failed++
		case Skipped:
			r.Skipped++
		}
	}
	r.Healthy = r.Failed == 0
	return r
}
