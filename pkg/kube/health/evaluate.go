package health

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// Sentences about an object without a status.
const (
	datasetUnobserved = "the dataset-controller has not processed it yet"
	runtimeUnobserved = "the jindoruntime-controller has not processed it yet"
)

// EvaluateDataset interprets the status of a Dataset. Its level follows the
// phase: a Bound Dataset is Ready even while a master or a worker is not.
func EvaluateDataset(d *v1alpha1.Dataset) Result {
	phase := d.Status.Phase
	r := Result{
		Level: datasetLevel(phase), State: cmp.Or(string(phase), string(v1alpha1.PendingDatasetPhase)),
		Observed: phase != v1alpha1.NoneDatasetPhase, Terminating: d.DeletionTimestamp != nil,
	}
	r.Current = r.Observed && d.Status.ObservedGeneration >= d.Generation
	for _, c := range d.Status.Conditions {
		r.add(datasetRules[c.Type].finding(string(c.Type), c.Status, c.Reason, c.Message))
	}
	if !r.Observed && len(d.Status.Conditions) == 0 {
		r.add(unobserved(datasetUnobserved))
	}
	r.sort()
	return r
}

func datasetLevel(phase v1alpha1.DatasetPhase) Level {
	switch phase {
	case v1alpha1.BoundDatasetPhase:
		return Ready
	case v1alpha1.FailedDatasetPhase:
		return Failed
	}
	return Pending
}

// EvaluateRuntime interprets the status of a JindoRuntime. It is Ready when the
// condition Ready is True, and Failed when a finding is at least a Problem.
func EvaluateRuntime(runtime *v1alpha1.JindoRuntime) Result {
	r := Result{Level: Pending, State: "NotReady", Terminating: runtime.DeletionTimestamp != nil, Starting: true}
	for _, c := range runtime.Status.Conditions {
		r.add(runtimeRules[c.Type].finding(string(c.Type), c.Status, c.Reason, c.Message))
	}
	ready := RuntimeCondition(runtime, v1alpha1.RuntimeReady)
	r.Observed = ready != nil || len(r.Findings) > 0
	r.Current = r.Observed && runtime.Status.ObservedGeneration >= runtime.Generation
	if ready != nil {
		r.Starting = ready.Status != corev1.ConditionTrue && ready.Reason == ReasonComingUp
	}
	if !r.Observed {
		r.add(unobserved(runtimeUnobserved))
	}
	r.sort()
	_, failed := r.Worst(Problem)
	switch {
	case ready != nil && ready.Status == corev1.ConditionTrue:
		r.Level, r.State = Ready, "Ready"
	case failed:
		r.Level = Failed
	}
	return r
}

func unobserved(message string) Finding {
	return Finding{Severity: Waiting, Cause: CauseController, Message: message}
}

// EvaluateDataLoad interprets the status of a DataLoad.
func EvaluateDataLoad(load *v1alpha1.DataLoad) Result {
	phase := load.Status.Phase
	r := Result{
		Level: operationLevel(phase), State: cmp.Or(string(phase), string(v1alpha1.PendingOperationPhase)),
		Observed: phase != v1alpha1.NoneOperationPhase, Current: phase != v1alpha1.NoneOperationPhase,
		Terminating: load.DeletionTimestamp != nil,
	}
	for _, c := range load.Status.Conditions {
		f := operationRules[c.Type].finding(string(c.Type), c.Status, c.Reason, c.Message)
		r.add(f)
		r.ready = oneLine(c.Message) // the last condition is the newest
	}
	r.sort()
	if _, fatal := r.Worst(Fatal); fatal {
		r.Level = Failed
	}
	return r
}

func operationLevel(phase v1alpha1.OperationPhase) Level {
	switch phase {
	case v1alpha1.CompleteOperationPhase:
		return Ready
	case v1alpha1.FailedOperationPhase:
		return Failed
	}
	return Pending
}

// Serving reports whether a component in that phase has at least one ready member.
func Serving(phase v1alpha1.RuntimePhase) bool {
	return phase == v1alpha1.RuntimePhaseReady || phase == v1alpha1.RuntimePhasePartialReady
}

// Deletion returns the sentence that explains why a deletion waits, or "" when
// nothing blocks it.
func (r *Result) Deletion() string {
	for _, f := range r.Findings {
		if f.Condition == string(v1alpha1.RuntimeDeletionBlocked) {
			return f.Message
		}
	}
	return ""
}
