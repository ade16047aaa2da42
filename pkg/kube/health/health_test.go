package health_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

const (
	isTrue  = corev1.ConditionTrue
	isFalse = corev1.ConditionFalse
)

// expectation is the finding that a condition with a reason has to give.
type expectation struct {
	kind     string
	status   corev1.ConditionStatus
	reason   string
	severity health.Severity
	cause    health.Cause
}

// runtimeExpectations hold every condition that the jindoruntime-controller sets
// with every reason that it sets it for.
var runtimeExpectations = []expectation{
	{"MasterInitialized", isTrue, health.ReasonMade, health.Info, ""},
	{"WorkersInitialized", isTrue, health.ReasonMade, health.Info, ""},
	{"FusesInitialized", isTrue, health.ReasonMade, health.Info, ""},
	{"MasterReady", isTrue, health.ReasonReady, health.Info, ""},
	{"MasterReady", isFalse, health.ReasonPartialReady, health.Info, ""},
	{"WorkersReady", isTrue, health.ReasonReady, health.Info, ""},
	{"WorkersReady", isFalse, health.ReasonPartialReady, health.Info, ""},
	{"FusesReady", isTrue, health.ReasonReady, health.Info, ""},
	{"FusesReady", isFalse, health.ReasonNotReady, health.Info, ""},
	{"WorkersScaledIn", isTrue, health.ReasonScaledIn, health.Info, ""},
	{"WorkersScaledOut", isTrue, health.ReasonScaledOut, health.Info, ""},
	{"FusesScaledIn", isTrue, "", health.Info, ""},
	{"FusesScaledOut", isTrue, "", health.Info, ""},
	{"Ready", isTrue, health.ReasonReady, health.Info, ""},
	{"Ready", isFalse, health.ReasonComingUp, health.Waiting, health.CauseMembers},
	{"Ready", isFalse, health.ReasonNotReady, health.Waiting, health.CauseMembers},
	{"Ready", isFalse, health.ReasonInvalidSpec, health.Fatal, health.CauseSpec},
	{"Ready", isFalse, health.ReasonFailed, health.Problem, health.CauseController},
	{"Ready", isFalse, health.ReasonDeleting, health.Waiting, health.CauseDeletion},
	{"SpecValid", isTrue, health.ReasonValid, health.Info, ""},
	{"SpecValid", isFalse, health.ReasonInvalidSpec, health.Fatal, health.CauseSpec},
	{"DatasetBound", isTrue, health.ReasonBound, health.Info, ""},
	{"DatasetBound", isFalse, health.ReasonNotBound, health.Note, health.CauseBinding},
	{"DatasetBound", isFalse, health.ReasonDatasetInvalid, health.Note, health.CauseBinding},
	{"DatasetBound", isFalse, health.ReasonDatasetClaimed, health.Note, health.CauseBinding},
	{"MountsReady", isTrue, health.ReasonMounted, health.Info, ""},
	{"MountsReady", isFalse, health.ReasonStoreRefuses, health.Problem, health.CauseStore},
	{"MountsReady", isFalse, health.ReasonSomeStoresRefuse, health.Problem, health.CauseStore},
	{"MountsReady", isFalse, health.ReasonMountUnsupported, health.Problem, health.CauseMounts},
	{"MountsReady", isFalse, health.ReasonMountsPending, health.Waiting, health.CauseMounts},
	{"CredentialsReady", isTrue, health.ReasonReady, health.Info, ""},
	{"CredentialsReady", isFalse, health.ReasonSecretMissing, health.Problem, health.CauseCredentials},
	{"ChangeNotApplied", isTrue, health.ReasonSpecEdited, health.Note, health.CauseChange},
	{"UpdatePending", isTrue, health.ReasonOlderTemplate, health.Note, health.CauseChange},
	{"Updating", isTrue, health.ReasonUpdating, health.Note, health.CauseChange},
	{"Updating", isTrue, health.ReasonUpdatesPaused, health.Note, health.CauseChange},
	{"RolloutReverted", isTrue, health.ReasonFirstPodFailed, health.Problem, health.CauseChange},
	{"RolloutReverted", isTrue, health.ReasonLaterPodFailed, health.Problem, health.CauseChange},
	{"SnapshotsFailing", isTrue, health.ReasonScheduleUnmet, health.Note, health.CauseStore},
	{"NotSupportedYet", isTrue, health.ReasonNotSupportedYet, health.Note, health.CauseSpec},
	{"Ready", isFalse, health.ReasonNotSupportedYet, health.Fatal, health.CauseSpec},
	{"MountsReady", isFalse, health.ReasonNotSupportedYet, health.Fatal, health.CauseSpec},
	{"PlacementBlocked", isTrue, health.ReasonTooFewNodes, health.Problem, health.CausePlacement},
	{"PlacementBlocked", isTrue, health.ReasonUnschedulable, health.Problem, health.CausePlacement},
	{"PlacementBlocked", isFalse, "", health.Info, ""},
	{"PodSecurityForbidden", isTrue, health.ReasonPodSecurity, health.Fatal, health.CausePodSecurity},
	{"HostPathRefused", isTrue, health.ReasonHostPathRefused, health.Fatal, health.CauseSpec},
	{"DeletionBlocked", isTrue, health.ReasonDeletionBlocked, health.Problem, health.CauseDeletion},
	{"MountsReady", corev1.ConditionUnknown, "", health.Info, ""},
}

// datasetExpectations do the same for the dataset-controller.
var datasetExpectations = []expectation{
	{"RuntimeScheduled", isTrue, "", health.Info, ""},
	{"UpdateReady", isTrue, "", health.Info, ""},
	{"Updating", isTrue, "", health.Info, ""},
	{"Initialized", isTrue, "", health.Info, ""},
	{"NotReady", isTrue, health.ReasonDatasetFailedToSetup, health.Info, ""},
	{"Ready", isTrue, health.ReasonDatasetReady, health.Info, ""},
	{"Ready", isFalse, health.ReasonSpecInvalid, health.Fatal, health.CauseSpec},
	{"Ready", isFalse, health.ReasonNotBound, health.Waiting, health.CauseBinding},
	{"Ready", isFalse, health.ReasonMountUnsupported, health.Fatal, health.CauseMounts},
	{"Ready", isFalse, health.ReasonVolumeConflict, health.Fatal, health.CauseVolume},
	{"Ready", isFalse, health.ReasonMountsNotReady, health.Problem, health.CauseStore},
	{"Ready", isFalse, health.ReasonRuntimeNotReady, health.Waiting, health.CauseMembers},
	{"Ready", isFalse, health.ReasonVolumeNotBound, health.Waiting, health.CauseVolume},
	{"SpecValid", isTrue, health.ReasonValid, health.Info, ""},
	{"SpecValid", isFalse, health.ReasonSpecInvalid, health.Fatal, health.CauseSpec},
	{"MountUnsupported", isTrue, health.ReasonMountUnsupported, health.Problem, health.CauseMounts},
	{"MountsReady", isTrue, health.ReasonMounted, health.Info, ""},
	{"MountsReady", isFalse, health.ReasonStoreRefuses, health.Problem, health.CauseStore},
	{"MountsReady", isFalse, health.ReasonSomeStoresRefuse, health.Problem, health.CauseStore},
	{"CredentialsReady", isFalse, health.ReasonSecretMissing, health.Problem, health.CauseCredentials},
	{"MountsReady", isFalse, health.ReasonMountUnsupported, health.Problem, health.CauseMounts},
	{"MountsReady", isFalse, health.ReasonMountsPending, health.Waiting, health.CauseMounts},
	{"ChangeNotApplied", isTrue, health.ReasonNotSupportedYet, health.Note, health.CauseChange},
	{"DeletionBlocked", isTrue, health.ReasonPodsMountIt, health.Problem, health.CauseDeletion},
}

var operationExpectations = []expectation{
	{"Complete", isTrue, "", health.Info, ""},
	{"Failed", isTrue, "", health.Fatal, health.CauseController},
	{"Failed", isFalse, "", health.Info, ""},
	{"NotSupportedYet", isTrue, health.ReasonNotSupportedYet, health.Fatal, health.CauseSpec},
}

func TestConditions(t *testing.T) {
	for kind, test := range map[string]struct {
		expectations []expectation
		evaluate     func(e expectation) health.Result
	}{
		"JindoRuntime": {runtimeExpectations, func(e expectation) health.Result {
			r := runtimeWith(v1alpha1.RuntimeCondition{Type: v1alpha1.RuntimeConditionType(e.kind), Status: e.status, Reason: e.reason, Message: "why"})
			if e.kind != "Ready" { // not the sentence about a missing status
				r.Status.Conditions = append(r.Status.Conditions, v1alpha1.RuntimeCondition{Type: v1alpha1.RuntimeReady, Status: isTrue})
			}
			return health.EvaluateRuntime(r)
		}},
		"Dataset": {datasetExpectations, func(e expectation) health.Result {
			return health.EvaluateDataset(datasetWith(v1alpha1.BoundDatasetPhase,
				v1alpha1.DatasetCondition{Type: v1alpha1.DatasetConditionType(e.kind), Status: e.status, Reason: e.reason, Message: "why"}))
		}},
		"DataLoad": {operationExpectations, func(e expectation) health.Result {
			load := &v1alpha1.DataLoad{}
			load.Status.Conditions = []v1alpha1.Condition{{Type: v1alpha1.ConditionType(e.kind), Status: e.status, Reason: e.reason, Message: "why"}}
			return health.EvaluateDataLoad(load)
		}},
	} {
		for _, e := range test.expectations {
			result := test.evaluate(e)
			got, found := result.Find(e.kind)
			if found != (e.severity > health.Info) || got.Severity != e.severity || got.Cause != e.cause {
				t.Errorf("%s %s=%s (%s): severity %d, cause %q, want %d, %q", kind, e.kind, e.status, e.reason, got.Severity, got.Cause, e.severity, e.cause)
			}
			if found && (got.Message != "why" || got.Reason != e.reason) {
				t.Errorf("%s %s: message %q and reason %q", kind, e.kind, got.Message, got.Reason)
			}
		}
	}
}

func runtimeWith(conditions ...v1alpha1.RuntimeCondition) *v1alpha1.JindoRuntime {
	r := &v1alpha1.JindoRuntime{}
	r.Status.Conditions = conditions
	return r
}

func datasetWith(phase v1alpha1.DatasetPhase, conditions ...v1alpha1.DatasetCondition) *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{}
	d.Status.Phase, d.Status.Conditions = phase, conditions
	return d
}

func condition(kind v1alpha1.RuntimeConditionType, status corev1.ConditionStatus, reason, message string) v1alpha1.RuntimeCondition {
	return v1alpha1.RuntimeCondition{Type: kind, Status: status, Reason: reason, Message: message}
}

func TestEvaluateRuntime(t *testing.T) {
	coming := condition(v1alpha1.RuntimeReady, isFalse, health.ReasonComingUp, "masters: 0 of 3")
	short := condition(v1alpha1.RuntimeReady, isFalse, health.ReasonNotReady, "workers: 1 of 2")
	ready := condition(v1alpha1.RuntimeReady, isTrue, health.ReasonReady, "all ready")
	blocked := condition(v1alpha1.RuntimePlacementBlocked, isTrue, health.ReasonTooFewNodes, "no\nnode")
	refused := condition(v1alpha1.RuntimeMountsReady, isFalse, health.ReasonStoreRefuses, "403")
	for name, test := range map[string]struct {
		runtime  *v1alpha1.JindoRuntime
		level    health.Level
		message  string
		starting bool
	}{
		"without a status":        {runtimeWith(), health.Pending, "the jindoruntime-controller has not processed it yet", true},
		"starting":                {runtimeWith(coming), health.Pending, "masters: 0 of 3", true},
		"a worker is missing":     {runtimeWith(short), health.Pending, "workers: 1 of 2", false},
		"ready":                   {runtimeWith(ready), health.Ready, "all ready", false},
		"the cause comes first":   {runtimeWith(coming, blocked), health.Failed, "no node", true},
		"ready, the store is not": {runtimeWith(ready, refused), health.Ready, "403", false},
		"a note changes nothing":  {runtimeWith(ready, condition(v1alpha1.RuntimeUpdatePending, isTrue, health.ReasonOlderTemplate, "older pods")), health.Ready, "all ready", false},
		"an invalid spec":         {runtimeWith(condition(v1alpha1.RuntimeReady, isFalse, health.ReasonInvalidSpec, "see SpecValid"), condition(v1alpha1.RuntimeSpecValid, isFalse, health.ReasonInvalidSpec, "replicas")), health.Failed, "replicas", false},
	} {
		got := health.EvaluateRuntime(test.runtime)
		if got.Level != test.level || got.Message() != test.message || got.Starting != test.starting {
			t.Errorf("%s: %s, %q, starting %v; want %s, %q, %v", name, got.Level, got.Message(), got.Starting, test.level, test.message, test.starting)
		}
	}
}

func TestEvaluateDatasetByPhase(t *testing.T) {
	for phase, want := range datasetPhases {
		d := datasetWith(phase, v1alpha1.DatasetCondition{Type: v1alpha1.DatasetReady, Status: isTrue, Message: "served"})
		if got := health.EvaluateDataset(d); got.Level != want || got.Message() != "served" {
			t.Errorf("phase %q: %s, %q, want %s", phase, got.Level, got.Message(), want)
		}
	}
	got := health.EvaluateDataset(&v1alpha1.Dataset{})
	if got.Observed || got.State != "Pending" || got.Message() != "the dataset-controller has not processed it yet" {
		t.Errorf("a new Dataset: %+v", got)
	}
}

func TestEvaluateDataLoadByPhase(t *testing.T) {
	for phase, want := range operationPhases {
		load := &v1alpha1.DataLoad{}
		load.Status.Phase = phase
		if got := health.EvaluateDataLoad(load); got.Level != want {
			t.Errorf("phase %q: %s, want %s", phase, got.Level, want)
		}
	}
}

func TestServing(t *testing.T) {
	for phase, want := range componentPhases {
		if got := health.Serving(phase); got != want {
			t.Errorf("phase %q: %v, want %v", phase, got, want)
		}
	}
}

// TestCurrent: a status about an older generation is observed and not current.
func TestCurrent(t *testing.T) {
	d := datasetWith(v1alpha1.BoundDatasetPhase)
	d.Generation, d.Status.ObservedGeneration = 2, 1
	r := runtimeWith(condition(v1alpha1.RuntimeReady, isTrue, health.ReasonReady, ""))
	r.Generation, r.Status.ObservedGeneration = 2, 1
	for name, result := range map[string]health.Result{"Dataset": health.EvaluateDataset(d), "JindoRuntime": health.EvaluateRuntime(r)} {
		if !result.Observed || result.Current {
			t.Errorf("%s: observed %v, current %v", name, result.Observed, result.Current)
		}
	}
}

func TestDeletion(t *testing.T) {
	now := metav1.Now()
	r := runtimeWith(condition(v1alpha1.RuntimeDeletionBlocked, isTrue, health.ReasonDeletionBlocked, "pod a mounts it"))
	r.DeletionTimestamp = &now
	got := health.EvaluateRuntime(r)
	if got.Deletion() != "pod a mounts it" || !got.Terminating {
		t.Errorf("deletion %q, terminating %v", got.Deletion(), got.Terminating)
	}
	d := datasetWith("", v1alpha1.DatasetCondition{Type: v1alpha1.DatasetDeletionBlocked, Status: isTrue, Message: "pods mount it"})
	if got := health.EvaluateDataset(d); got.Deletion() != "pods mount it" {
		t.Errorf("deletion of a Dataset: %q", got.Deletion())
	}
}
