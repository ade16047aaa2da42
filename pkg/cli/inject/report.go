package inject

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// Kinds of the reports of inject explain.
const (
	ReportKind     = "InjectionReport"
	ReportListKind = "InjectionReportList"
)

// Verdict in a word.
type Verdict string

// Verdicts.
const (
	// Injected: the pod has its sidecar.
	Injected Verdict = "Injected"
	// WillBeInjected: a pod that is created now gets one.
	WillBeInjected Verdict = "WillBeInjected"
	// NotAskedFor: labels do not ask for one.
	NotAskedFor Verdict = "NotAskedFor"
	// NoDataset: it asks and uses no dataset.
	NoDataset Verdict = "NoDataset"
	// Missed: the pod asks, is there, and has none.
	Missed Verdict = "Missed"
	// NotInjected: a pod that is created now gets none though it asks.
	NotInjected Verdict = "NotInjected"
	// Refused: the API server refuses a pod that is created now.
	Refused Verdict = "Refused"
	// Unknown: the webhooks could not be read.
	Unknown Verdict = "Unknown"
)

// Report says why an object's pods have a sidecar or have not.
//
// +kubebuilder:object:root=true
type Report struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Object as kubectl names it: deployment/train.
	Object string `json:"object"`
	// Verdict in a word.
	Verdict Verdict `json:"verdict"`
	// Message is the verdict in a sentence.
	Message string `json:"message"`
	// Plan is what the webhook's function says of the pod.
	Plan Plan `json:"plan"`
	// Sidecar: the pod, or the template, has one now.
	Sidecar bool `json:"sidecar"`
	// Webhooks that see created pods, ours first.
	Webhooks []Webhook `json:"webhooks"`
	// Endpoints of our webhook that are ready.
	Endpoints int `json:"endpoints"`
	// Trusted: our webhook's configuration holds a certificate authority.
	Trusted bool `json:"trusted"`
	// Policy stands behind the webhook: Bound, NotBound or Absent.
	Policy string `json:"policy"`
	// Problems are sentences about what is not well.
	Problems []string `json:"problems"`
	// Failures are sentences about what could not be read.
	Failures []string `json:"failures"`
}

// Plan of a pod.
//
// +kubebuilder:object:generate=true
type Plan struct {
	// Outcome is Injected, Already, Skipped or Refused.
	Outcome string `json:"outcome"`
	// Reason of the outcome, for programs.
	Reason string `json:"reason"`
	// Message is the outcome in a sentence.
	Message string `json:"message"`
	// Warnings for whoever creates the pod.
	Warnings []string `json:"warnings,omitempty"`
	// Operations that the plan has.
	Operations int `json:"operations"`
}

// Webhook of a configuration.
//
// +kubebuilder:object:generate=true
type Webhook struct {
	// Configuration that it is in.
	Configuration string `json:"configuration"`
	// Name of the webhook in its configuration.
	Name string `json:"name"`
	// Ours: it gives pods their sidecar.
	Ours bool `json:"ours,omitempty"`
	// Called for the pod, or not.
	Called bool `json:"called"`
	// Why it is called, or is not.
	Why string `json:"why"`
}

// Policies.
const (
	PolicyBound    = "Bound"
	PolicyNotBound = "NotBound"
	PolicyAbsent   = "Absent"
	PolicyUnknown  = "Unknown"
)

// Healthy tells whether nothing keeps the pods from their data.
func (r *Report) Healthy() bool {
	switch r.Verdict {
	case Missed, Refused, NotInjected, Unknown:
		return false
	case Injected, WillBeInjected, NotAskedFor, NoDataset:
	}
	return len(r.Problems) == 0
}

// ReportList is several.
//
// +kubebuilder:object:root=true
type ReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	// Items in the order of the manifest.
	Items []Report `json:"items"`
}

func newReport(namespace, name, object string) *Report {
	return &Report{
		TypeMeta:   metav1.TypeMeta{APIVersion: report.APIVersion, Kind: ReportKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Object:     object, Webhooks: []Webhook{}, Problems: []string{}, Failures: []string{}, Policy: PolicyUnknown,
	}
}

func newList(items []Report) *ReportList {
	return &ReportList{TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: ReportListKind}, Items: items}
}
