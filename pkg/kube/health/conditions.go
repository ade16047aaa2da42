package health

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// rule is the meaning of one condition type.
type rule struct {
	// good is the status in which the condition reports nothing; a condition
	// that never reports anything has none.
	good corev1.ConditionStatus
	// bad is the meaning of any other status.
	bad meaning
	// reasons override bad.
	reasons map[string]meaning
	summary bool
}

// meaning is the meaning of a condition whose status is not the healthy one.
type meaning struct {
	severity Severity
	cause    Cause
}

// informative conditions report progress only.
var informative = rule{}

// runtimeRules hold the meaning of every condition of a JindoRuntime.
var runtimeRules = map[v1alpha1.RuntimeConditionType]rule{
	v1alpha1.RuntimeMasterInitialized:  informative,
	v1alpha1.RuntimeWorkersInitialized: informative,
	v1alpha1.RuntimeFusesInitialized:   informative,
	v1alpha1.RuntimeWorkersScaledIn:    informative,
	v1alpha1.RuntimeWorkersScaledOut:   informative,
	v1alpha1.RuntimeFusesScaledIn:      informative,
	v1alpha1.RuntimeFusesScaledOut:     informative,
	// Ready sums these three up.
	v1alpha1.RuntimeMasterReady:  informative,
	v1alpha1.RuntimeWorkersReady: informative,
	v1alpha1.RuntimeFusesReady:   informative,

	v1alpha1.RuntimeReady: {
		good: corev1.ConditionTrue, summary: true, bad: meaning{Waiting, CauseMembers},
		reasons: map[string]meaning{
			ReasonInvalidSpec:     {Fatal, CauseSpec},
			ReasonFailed:          {Problem, CauseController},
			ReasonNotSupportedYet: {Fatal, CauseSpec},
			ReasonDeleting:        {Waiting, CauseDeletion},
		},
	},
	v1alpha1.RuntimeSpecValid:            {good: corev1.ConditionTrue, bad: meaning{Fatal, CauseSpec}},
	v1alpha1.RuntimeDatasetBound:         {good: corev1.ConditionTrue, bad: meaning{Note, CauseBinding}},
	v1alpha1.RuntimeCredentialsReady:     {good: corev1.ConditionTrue, bad: meaning{Problem, CauseCredentials}},
	v1alpha1.RuntimeMountsReady:          mountsRule,
	v1alpha1.RuntimeChangeNotApplied:     {good: corev1.ConditionFalse, bad: meaning{Note, CauseChange}},
	v1alpha1.RuntimeUpdating:             {good: corev1.ConditionFalse, bad: meaning{Note, CauseChange}},
	v1alpha1.RuntimeRolloutReverted:      {good: corev1.ConditionFalse, bad: meaning{Problem, CauseChange}},
	v1alpha1.RuntimeUpdatePending:        {good: corev1.ConditionFalse, bad: meaning{Note, CauseChange}},
	v1alpha1.RuntimeNotSupportedYet:      {good: corev1.ConditionFalse, bad: meaning{Note, CauseSpec}},
	v1alpha1.RuntimePlacementBlocked:     {good: corev1.ConditionFalse, bad: meaning{Problem, CausePlacement}},
	v1alpha1.RuntimePodSecurityForbidden: {good: corev1.ConditionFalse, bad: meaning{Fatal, CausePodSecurity}},
	v1alpha1.RuntimeHostPathRefused:      {good: corev1.ConditionFalse, bad: meaning{Fatal, CauseSpec}},
	v1alpha1.RuntimeSnapshotsFailing:     {good: corev1.ConditionFalse, bad: meaning{Note, CauseStore}},
	v1alpha1.RuntimeDeletionBlocked:      {good: corev1.ConditionFalse, bad: meaning{Problem, CauseDeletion}},
}

// mountsRule is shared: a Dataset repeats the condition of its runtime.
var mountsRule = rule{
	good: corev1.ConditionTrue, bad: meaning{Problem, CauseStore},
	reasons: map[string]meaning{
		ReasonMountUnsupported: {Problem, CauseMounts},
		ReasonMountsPending:    {Waiting, CauseMounts},
		ReasonNotSupportedYet:  {Fatal, CauseSpec},
	},
}

// datasetRules hold the meaning of every condition of a Dataset.
var datasetRules = map[v1alpha1.DatasetConditionType]rule{
	v1alpha1.DatasetRuntimeScheduled: informative,
	v1alpha1.DatasetUpdateReady:      informative,
	v1alpha1.DatasetUpdating:         informative,
	v1alpha1.DatasetInitialized:      informative,
	v1alpha1.DatasetNotReady:         informative, // Ready reports the same

	v1alpha1.DatasetReady: {
		good: corev1.ConditionTrue, summary: true, bad: meaning{Waiting, CauseMembers},
		reasons: map[string]meaning{
			ReasonSpecInvalid:      {Fatal, CauseSpec},
			ReasonNotBound:         {Waiting, CauseBinding},
			ReasonMountUnsupported: {Fatal, CauseMounts},
			ReasonVolumeConflict:   {Fatal, CauseVolume},
			ReasonMountsNotReady:   {Problem, CauseStore},
			ReasonVolumeNotBound:   {Waiting, CauseVolume},
		},
	},
	v1alpha1.DatasetSpecValid:        {good: corev1.ConditionTrue, bad: meaning{Fatal, CauseSpec}},
	v1alpha1.DatasetMountUnsupported: {good: corev1.ConditionFalse, bad: meaning{Problem, CauseMounts}},
	v1alpha1.DatasetMountsReady:      mountsRule,
	v1alpha1.DatasetCredentialsReady: {good: corev1.ConditionTrue, bad: meaning{Problem, CauseCredentials}},
	v1alpha1.DatasetChangeNotApplied: {good: corev1.ConditionFalse, bad: meaning{Note, CauseChange}},
	v1alpha1.DatasetDeletionBlocked:  {good: corev1.ConditionFalse, bad: meaning{Problem, CauseDeletion}},
}

// operationRules hold the meaning of every condition of a DataLoad.
var operationRules = map[v1alpha1.ConditionType]rule{
	v1alpha1.OperationComplete:        informative,
	v1alpha1.OperationFailed:          {good: corev1.ConditionFalse, bad: meaning{Fatal, CauseController}},
	v1alpha1.OperationNotSupportedYet: {good: corev1.ConditionFalse, bad: meaning{Fatal, CauseSpec}},
}

// finding applies the rule to a condition. A status of Unknown counts as neither
// good nor bad. A type without a rule is informative.
func (r rule) finding(kind string, status corev1.ConditionStatus, reason, message string) Finding {
	f := Finding{Condition: kind, Reason: reason, Message: cmp.Or(oneLine(message), kind), Summary: r.summary}
	if r.good == "" || status == r.good || status == corev1.ConditionUnknown {
		return f
	}
	m, found := r.reasons[reason]
	if !found {
		m = r.bad
	}
	f.Severity, f.Cause = m.severity, m.cause
	return f
}

// RuntimeCondition returns the condition of that type, or nil.
func RuntimeCondition(r *v1alpha1.JindoRuntime, kind v1alpha1.RuntimeConditionType) *v1alpha1.RuntimeCondition {
	if r == nil {
		return nil
	}
	for i := range r.Status.Conditions {
		if r.Status.Conditions[i].Type == kind {
			return &r.Status.Conditions[i]
		}
	}
	return nil
}

// DatasetCondition returns the condition of that type, or nil.
func DatasetCondition(d *v1alpha1.Dataset, kind v1alpha1.DatasetConditionType) *v1alpha1.DatasetCondition {
	if d == nil {
		return nil
	}
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == kind {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}
