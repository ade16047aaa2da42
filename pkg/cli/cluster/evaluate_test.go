package cluster

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

func evaluated(t *testing.T, age time.Duration, conditions ...v1alpha1.RuntimeCondition) *report.Runtime {
	t.Helper()
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	runtime := &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Name: "hadoop", Namespace: "vision", CreationTimestamp: metav1.NewTime(now.Add(-age))}}
	runtime.Status.Conditions = conditions
	r := report.New(report.Ref{Namespace: "vision", Name: "hadoop"}, now)
	r.Workers = []report.Worker{{Name: "w-0", Live: true, Registered: true}, {Name: "w-1", Error: "timeout"}}
	evaluateHealth(r, runtime, nil)
	return r
}

func condition(kind v1alpha1.RuntimeConditionType, status corev1.ConditionStatus, reason, message string) v1alpha1.RuntimeCondition {
	return v1alpha1.RuntimeCondition{Type: kind, Status: status, Reason: reason, Message: message}
}

// TestCausePrecedesItsConsequences: what the controllers report comes before the
// pods.
func TestCausePrecedesItsConsequences(t *testing.T) {
	ready := condition(v1alpha1.RuntimeReady, corev1.ConditionTrue, health.ReasonReady, "ready")
	for name, test := range map[string]struct {
		condition v1alpha1.RuntimeCondition
		cause     health.Cause
	}{
		"store":       {condition(v1alpha1.RuntimeMountsReady, corev1.ConditionFalse, health.ReasonStoreRefuses, "the cause"), health.CauseStore},
		"credentials": {condition(v1alpha1.RuntimeCredentialsReady, corev1.ConditionFalse, health.ReasonSecretMissing, "the cause"), health.CauseCredentials},
		"placement":   {condition(v1alpha1.RuntimePlacementBlocked, corev1.ConditionTrue, health.ReasonUnschedulable, "the cause"), health.CausePlacement},
	} {
		r := evaluated(t, time.Hour, ready, test.condition)
		if !slices.Equal(r.Problems, []string{"the cause", "w-1 is unreachable"}) || r.Cause != string(test.cause) || r.Health != report.Degraded {
			t.Errorf("%s: %s because of %q: %q", name, r.Health, r.Cause, r.Problems)
		}
	}
	if r := evaluated(t, time.Hour, ready); r.Cause != string(health.CauseMembers) {
		t.Errorf("only a worker is unreachable: cause %q, problems %q", r.Cause, r.Problems)
	}
}

func TestRuntimeWithoutAStatus(t *testing.T) {
	if r := evaluated(t, time.Second); r.Health != report.Starting || r.Cause != string(health.CauseMembers) {
		t.Errorf("new: %s, cause %q, %q", r.Health, r.Cause, r.Problems)
	}
	if r := evaluated(t, time.Hour); r.Cause != string(health.CauseController) || r.Problems[0] != "no controller has processed it: see the pods in namespace fluid-system" {
		t.Errorf("an hour old: cause %q, %q", r.Cause, r.Problems)
	}
}

// TestMembersDoNotRepeatTheStore: the error of a mount is shown once.
func TestMembersDoNotRepeatTheStore(t *testing.T) {
	r := evaluated(t, time.Hour,
		condition(v1alpha1.RuntimeReady, corev1.ConditionTrue, health.ReasonReady, "ready"),
		condition(v1alpha1.RuntimeMountsReady, corev1.ConditionFalse, health.ReasonStoreRefuses, "mount hadoop: 403 AccessDenied"))
	fresh := report.New(report.Ref{Namespace: "vision", Name: "hadoop"}, r.Collected.Time)
	fresh.Workers = []report.Worker{{Name: "w-0", Live: true, Registered: true}, {Name: "w-1", Live: true, Registered: true}}
	fresh.Mounts = []report.Mount{{Path: "/hadoop", Error: "403 AccessDenied"}}
	merge(r, fresh, true)
	if !slices.Equal(r.Problems, []string{"mount hadoop: 403 AccessDenied"}) || r.Cause != string(health.CauseStore) {
		t.Errorf("cause %q, problems %q", r.Cause, r.Problems)
	}
}
