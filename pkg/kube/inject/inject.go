// Package inject gives a pod that asks for it the sidecar that serves its
// datasets' volumes. It is a pure function from the pod as raw JSON, the
// Datasets and the JindoRuntimes to RFC 6902 operations: no client, no clock, no
// randomness. It never decodes a pod and writes it anew, so that fields newer
// than this program stay where they are. Whatever it did is recognised by its
// content: a second pass over a pod is no operation, and a sidecar that is out of
// date, was edited or was copied is brought in line.
package inject

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// Operation of a JSON patch, RFC 6902.
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Dataset that a claim of the pod belongs to.
type Dataset struct {
	Name  string
	Phase v1alpha1.DatasetPhase
	// Ready: its files can be read now; Message says why not.
	Ready   bool
	Message string
	// Runtime that serves it; nil while none does.
	Runtime *v1alpha1.JindoRuntime
}

// Request is everything that an injection depends on.
type Request struct {
	// Pod as JSON.
	Pod []byte
	// Namespace that it is created in.
	Namespace string
	// Datasets by the claims of the pod; a claim that is not there is nobody's
	// dataset.
	Datasets map[string]*Dataset
	// Image of the sidecar where no runtime names one.
	Image string
	// PullPolicy of the image where no runtime has one.
	PullPolicy string
}

// Outcome of a plan in a word.
type Outcome string

// Outcomes.
const (
	// Injected: the operations put the sidecar in, or in line.
	Injected Outcome = "Injected"
	// Already: the sidecar is there as it should be.
	Already Outcome = "Already"
	// Skipped: the pod gets no sidecar.
	Skipped Outcome = "Skipped"
	// Removed: the operations take the sidecar out.
	Removed Outcome = "Removed"
)

// Reason of an outcome or a refusal, for metrics and machines.
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

// Result of a plan.
type Result struct {
	// Operations to apply in order; none for a pod that is as it should be.
	Operations []Operation
	Outcome    Outcome
	Reason     Reason
	// Message says the outcome in a sentence.
	Message string
	// Warnings are sentences for whoever creates the pod.
	Warnings []string
}

// Refusal says why a pod must not start as it is, and what to write instead.
type Refusal struct {
	Reason  Reason
	Message string
}

// Error is the message.
func (r *Refusal) Error() string { return r.Message }

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Pod that was read, for whoever asks both [Pod.Claims] and [Pod.Plan] of it. It
// never changes.
type Pod struct{ doc *document }

// Parse reads a pod in JSON, which must not be changed afterwards. An error is a
// [*Refusal].
func Parse(raw []byte) (*Pod, error) {
	doc, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return &Pod{doc}, nil
}

// Claims that the pod's volumes name, sorted: those whose Datasets [Pod.Plan]
// needs to know, which are none where the pod does not ask for a sidecar.
func (p *Pod) Claims() []string {
	if p.doc.declined() != nil {
		return nil
	}
	return p.doc.claims()
}

// Claims of a pod that nothing else is asked of.
func Claims(pod []byte) ([]string, error) {
	parsed, err := Parse(pod)
	if err != nil {
		return nil, err
	}
	return parsed.Claims(), nil
}

// Asks tells whether labels ask for a sidecar.
func Asks(labels map[string]string) bool {
	return labels[names.LabelInject] == "true" || labels[names.LabelInjectAlias] == "true"
}

// Plan answers what to do to a pod. An error is a [*Refusal].
func Plan(r Request) (*Result, error) {
	parsed, err := Parse(r.Pod)
	if err != nil {
		return nil, err
	}
	return parsed.Plan(r)
}

// Plan answers what to do to this pod, whatever pod the request has. An error is
// a [*Refusal].
func (p *Pod) Plan(r Request) (*Result, error) {
	doc := p.doc
	if declined := doc.declined(); declined != nil {
		return declined, nil
	}
	found := doc.find(r.Datasets)
	if err := doc.taken(); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return none(doc, r), nil
	}
	return (&planner{Request: r, doc: doc, found: found}).plan()
}

// declined is the plan of a pod that does not ask; nil for one that does.
func (d *document) declined() *Result {
	switch {
	case !Asks(d.Metadata.Labels):
		return &Result{Outcome: Skipped, Reason: ReasonNotLabelled, Message: fmt.Sprintf("the pod does not ask for a sidecar: it has no label %s: \"true\"", names.LabelInject)}
	case d.Metadata.Labels[names.LabelEnableInjection] == "false":
		return &Result{Outcome: Skipped, Reason: ReasonOptedOut, Message: fmt.Sprintf("label %s: \"false\" asks for no sidecar", names.LabelEnableInjection)}
	}
	return nil
}

// none is the plan of a pod that asks and has nothing to be served: what an
// earlier pass put in goes.
func none(doc *document, r Request) *Result {
	operations, set, drop := doc.takeOut()
	if set == nil {
		set = map[string]string{}
	}
	set[names.AnnotationInjection] = "none"
	operations = append(operations, doc.annotate(set, drop)...)
	why := doc.nothing(r)
	return &Result{Operations: operations, Outcome: Skipped, Reason: ReasonNoDataset, Message: why, Warnings: []string{why}}
}

// nothing says why the pod has no dataset.
func (d *document) nothing(r Request) string {
	claims := d.claims()
	prefix := fmt.Sprintf("the pod asks for its data by label %s and gets no sidecar: ", names.LabelInject)
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
	return prefix + fmt.Sprintf("no Dataset is behind %s", list("claim", claims))
}

// planner of one pod that has datasets.
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
		result.Message = fmt.Sprintf("sidecar %s serves %s already", names.SidecarContainer, what)
	case fresh:
		result.Reason, result.Message = ReasonNew, fmt.Sprintf("sidecar %s serves %s", names.SidecarContainer, what)
	default:
		result.Message = fmt.Sprintf("sidecar %s was brought in line and serves %s", names.SidecarContainer, what)
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

// list is: dataset "a"; datasets "a" and "b"; datasets "a", "b" and "c".
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

// unique sorts and leaves out what is there twice.
func unique(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
