package inject

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// Kinds of the output of inject explain.
const (
	ReportKind     = "InjectionReport"
	ReportListKind = "InjectionReportList"
)

// Verdict is the result of inject explain for one object.
type Verdict string

// Verdicts.
const (
	// Injected means that the pod has the sidecar.
	Injected Verdict = "Injected"
	// WillBeInjected means that a pod that is created now gets one.
	WillBeInjected Verdict = "WillBeInjected"
	// NotAskedFor means that the labels do not request one.
	NotAskedFor Verdict = "NotAskedFor"
	// NoDataset means that the pod requests one and uses no Dataset.
	NoDataset Verdict = "NoDataset"
	// Missed means that the pod requests one, exists, and has none.
	Missed Verdict = "Missed"
	// NotInjected means that a pod that is created now gets none despite its labels.
	NotInjected Verdict = "NotInjected"
	// Refused means that the API server rejects a pod that is created now.
	Refused Verdict = "Refused"
	// Unknown means that the webhooks could not be read.
	Unknown Verdict = "Unknown"
)

// Report explains why the pods of an object have a sidecar or not.
//
// +kubebuilder:object:root=true
type Report struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Object is the name that kubectl prints: deployment/train.
	Object string `json:"object"`
	// Verdict is the result in one word.
	Verdict Verdict `json:"verdict"`
	// Message explains the verdict in a sentence.
	Message string `json:"message"`
	// Plan is what the webhook would do with the pod.
	Plan Plan `json:"plan"`
	// Sidecar reports whether the pod or the template has one now.
	Sidecar bool `json:"sidecar"`
	// Webhooks are those for the creation of pods, the webhook of Jindo first.
	Webhooks []Webhook `json:"webhooks"`
	// Endpoints is the number of ready endpoints of our webhook, -1 if unknown.
	Endpoints int `json:"endpoints"`
	// Trusted reports whether our configuration has a certificate authority.
	Trusted bool `json:"trusted"`
	// Policy is the state of the policy that backs the webhook: Bound, NotBound,
	// Absent or Unknown.
	Policy string `json:"policy"`
	// Problems are what prevents injection, a sentence each.
	Problems []string `json:"problems"`
	// Failures are the errors of objects that could not be read.
	Failures []string `json:"failures"`
}

// Plan is what the webhook would do with a pod.
//
// +kubebuilder:object:generate=true
type Plan struct {
	// Outcome is Injected, Already, Skipped or Refused.
	Outcome string `json:"outcome"`
	// Reason is the reason of the outcome, for programs.
	Reason string `json:"reason"`
	// Message explains the outcome in a sentence.
	Message string `json:"message"`
	// Warnings are those that the API server would return.
	Warnings []string `json:"warnings,omitempty"`
	// Operations is the number of operations of the plan.
	Operations int `json:"operations"`
}

// Webhook is one webhook of a configuration.
//
// +kubebuilder:object:generate=true
type Webhook struct {
	// Configuration is the name of the MutatingWebhookConfiguration.
	Configuration string `json:"configuration"`
	// Name is the name of the webhook in its configuration.
	Name string `json:"name"`
	// Ours reports whether it is the webhook that injects sidecars.
	Ours bool `json:"ours,omitempty"`
	// Called reports whether the API server calls it for the pod.
	Called bool `json:"called"`
	// Why explains Called.
	Why string `json:"why"`
}

// States of the policy.
const (
	PolicyBound    = "Bound"
	PolicyNotBound = "NotBound"
	PolicyAbsent   = "Absent"
	PolicyUnknown  = "Unknown"
)

// Healthy reports whether nothing prevents the pods from getting their data.
func (r *Report) Healthy() bool {
	switch r.Verdict {
	case Missed, Refused, NotInjected, Unknown:
		return false
	case Injected, WillBeInjected, NotAskedFor, NoDataset:
	}
	return len(r.Problems) == 0
}

// ReportList is a list of reports.
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
