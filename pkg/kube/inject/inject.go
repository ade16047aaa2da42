// Package inject injects into a pod the sidecar that serves the volumes of its
// Datasets. [Plan] is a pure function of the pod as raw JSON, the Datasets and the
// JindoRuntimes, and returns RFC 6902 operations. It uses no client, clock or
// randomness.
//
// A pod is never decoded and encoded again, so fields that are newer than this
// program are preserved. Injected fields are recognized by their content, so a
// second injection returns no operations, and a sidecar that is outdated, was edited
// or was copied from another pod is updated.
package inject

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Operation is an operation of a JSON patch, RFC 6902.
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Dataset is a Dataset to which a claim of the pod belongs.
type Dataset struct {
	Name  string
	Phase v1alpha1.DatasetPhase
	// Volume is the recorded name of the Dataset's PersistentVolume; empty if there is
	// none.
	Volume string
	// Ready reports whether files can be read. If not, Message explains why.
	Ready   bool
	Message string
	// Runtime that serves the Dataset; nil if there is none.
	Runtime *v1alpha1.JindoRuntime
}

// Request contains everything that an injection depends on.
type Request struct {
	// Pod as JSON.
	Pod []byte
	// Namespace is the namespace in which the pod is created.
	Namespace string
	// Datasets maps the claims of the pod to Datasets. Other claims do not belong to a Dataset.
	Datasets map[string]*Dataset
	// Image of the sidecar if no runtime specifies one.
	Image string
	// PullPolicy of the image if no runtime specifies one. Defaults to
	// IfNotPresent.
	PullPolicy string
}

// Outcome is the kind of result of a plan.
type Outcome string

// Outcomes.
const (
	// Injected means that the operations add or update the sidecar.
	Injected Outcome = "Injected"
	// Already means that the sidecar is up to date.
	Already Outcome = "Already"
	// Skipped means that the pod gets no sidecar.
	Skipped Outcome = "Skipped"
	// Removed means that the operations remove the sidecar.
	Removed Outcome = "Removed"
)

// Reason is the machine-readable reason of an outcome or a refusal.
type Reason string

// Reasons.
const (
	ReasonNew         Reason = "New"
	ReasonRenewed     Reason = "Renewed"
	ReasonUnchanged   Reason = "Unchanged"
	ReasonNotLabelled Reason = "NotLabelled"
	ReasonOptedOut    Reason = "OptedOut"
	ReasonNoDataset   Reason = "NoDataset"
	ReasonNotInjected Reason = "NotInjected"

	ReasonMalformed    Reason = "Malformed"
	ReasonNameTaken    Reason = "NameTaken"
	ReasonFuseOnly     Reason = "FuseOnly"
	ReasonFuseDisabled Reason = "FuseDisabled"
	ReasonNotReady     Reason = "NotReady"
	ReasonSizing       Reason = "Sizing"
	ReasonAnnotation   Reason = "Annotation"
	ReasonWindows      Reason = "Windows"
)

// Result is the result of a plan.
type Result struct {
	// Operations to apply in order; empty if the pod does not change.
	Operations []Operation
	Outcome    Outcome
	Reason     Reason
	// Message describes the outcome.
	Message string
	// Warnings are for the user who creates the pod.
	Warnings []string
}

// Refusal is the error for a pod that must not start. Its message explains why, and
// what to change.
type Refusal struct {
	Reason  Reason
	Message string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Pod is a parsed pod. It is immutable.
type Pod struct{ doc *document }

// Parse parses a pod in JSON. The caller must not modify raw afterwards. The error is
// a [*Refusal].
func Parse(raw []byte) (*Pod, error) {
	doc, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return &Pod{doc}, nil
}

// Claims returns the sorted names of the PersistentVolumeClaims whose Datasets
// [Pod.Plan] requires. It returns none if the pod does not request a sidecar.
func (p *Pod) Claims() []string {
	if p.doc.declined() != nil {
		return nil
	}
	return p.doc.claims()
}

// Claims parses a pod and returns its [Pod.Claims].
func Claims(pod []byte) ([]string, error) {
	parsed, err := Parse(pod)
	if err != nil {
		return nil, err
	}
	return parsed.Claims(), nil
}

// Requested reports whether the labels of a pod request a sidecar.
func Requested(labels map[string]string) bool {
	return labels[names.LabelInject] == "true" || labels[names.LabelInjectAlias] == "true"
}

// Plan parses the pod of a request and returns its [Pod.Plan]. The error is a
// [*Refusal].
func Plan(r Request) (*Result, error) {
	parsed, err := Parse(r.Pod)
	if err != nil {
		return nil, err
	}
	return parsed.Plan(r)
}

// Plan returns the operations that inject the sidecar into the pod. It ignores r.Pod.
// The error is a [*Refusal].
func (p *Pod) Plan(r Request) (*Result, error) {
	doc := p.doc
	if declined := doc.declined(); declined != nil {
		return declined, nil
	}
	found := doc.find(r.Datasets)
	if err := doc.checkNames(); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return withoutDatasets(doc, r), nil
	}
	return (&planner{Request: r, doc: doc, found: found}).plan()
}

// declined returns the result for a pod that does not request a sidecar; nil for one
// that does.
func (d *document) declined() *Result {
	switch {
	case !Requested(d.Metadata.Labels):
		return &Result{Outcome: Skipped, Reason: ReasonNotLabelled, Message: fmt.Sprintf("the pod does not request a sidecar: it has no label %s: \"true\"", names.LabelInject)}
	case d.Metadata.Labels[names.LabelEnableInjection] == "false":
		return &Result{Outcome: Skipped, Reason: ReasonOptedOut, Message: fmt.Sprintf("label %s: \"false\" disables the sidecar", names.LabelEnableInjection)}
	}
	return nil
}

// withoutDatasets returns the result for a pod that requests a sidecar and mounts no
// Dataset. The fields of an earlier injection are removed.
func withoutDatasets(doc *document, r Request) *Result {
	operations, set, drop := doc.removeInjected()
	if set == nil {
		set = map[string]string{}
	}
	set[names.AnnotationInjection] = "none"
	operations = append(operations, doc.annotate(set, drop)...)
	reason := doc.noDatasetReason(r)
	return &Result{Operations: operations, Outcome: Skipped, Reason: ReasonNoDataset, Message: reason, Warnings: []string{reason}}
}

// noDatasetReason explains why the pod mounts no Dataset.
func (d *document) noDatasetReason(r Request) string {
	claims := d.claims()
	prefix := fmt.Sprintf("the pod requests a sidecar by label %s and gets none: ", names.LabelInject)
	var unmounted []string
	for _, claim := range claims {
		if r.Datasets[claim] != nil {
			unmounted = append(unmounted, claim)
		}
	}
	switch {
	case len(claims) == 0:
		return prefix + "it has no persistentVolumeClaim; write a volume with claimName: the name of the Dataset"
	case len(unmounted) > 0:
		return prefix + fmt.Sprintf("no container mounts the volume of %s; write a volumeMount for it", list("dataset", unmounted))
	}
	return prefix + fmt.Sprintf("no Dataset found for %s", list("claim", claims))
}

// planner plans the injection into one pod that mounts Datasets.
type planner struct {
	Request
	doc      *document
	found    []*Dataset
	warnings []string
}

func (p *planner) plan() (*Result, error) {
	for _, check := range []func() error{p.checkPlatform, p.checkDatasets, p.checkReady} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	s, err := p.sidecar()
	if err != nil {
		return nil, err
	}
	operations, fresh, err := p.place(s)
	if err != nil {
		return nil, err
	}
	annotations := map[string]string{names.AnnotationInjection: s.hash}
	secrets, added := p.pullSecrets()
	operations = append(operations, secrets...)
	if len(added) > 0 {
		annotations[names.AnnotationPullSecrets] = strings.Join(added, ",")
	}
	for key, value := range p.doc.meshPorts() {
		annotations[key] = value
	}
	operations = append(p.doc.annotate(annotations, nil), operations...)
	result := &Result{Operations: operations, Warnings: p.warnings, Outcome: Injected, Reason: ReasonRenewed}
	what := list("dataset", datasetNames(p.found))
	switch {
	case len(operations) == 0:
		result.Outcome, result.Reason = Already, ReasonUnchanged
		result.Message = fmt.Sprintf("sidecar %s already serves %s", names.SidecarContainer, what)
	case fresh:
		result.Reason, result.Message = ReasonNew, fmt.Sprintf("sidecar %s serves %s", names.SidecarContainer, what)
	default:
		result.Message = fmt.Sprintf("sidecar %s was updated and serves %s", names.SidecarContainer, what)
	}
	return result, nil
}

func (p *planner) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

func datasetNames(datasets []*Dataset) []string {
	var all []string
	for _, d := range datasets {
		all = append(all, d.Name)
	}
	return all
}

// list formats names: dataset "a"; datasets "a" and "b"; datasets "a", "b" and "c".
func list(noun string, all []string) string {
	quoted := make([]string, len(all))
	for i, name := range all {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	if len(quoted) == 1 {
		return noun + " " + quoted[0]
	}
	last := len(quoted) - 1
	return noun + "s " + strings.Join(quoted[:last], ", ") + " and " + quoted[last]
}

// unique sorts in place and removes duplicates.
func unique(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
