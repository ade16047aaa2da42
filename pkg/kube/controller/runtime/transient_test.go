package runtime

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

func TestIsTransient(t *testing.T) {
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "x"}, "a", errors.New("newer"))
	terminating := apierrors.NewForbidden(schema.GroupResource{Resource: "x"}, "a", errors.New("the namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "x"}, "a", errors.New("not allowed"))
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"nil", nil, false},
		{"a conflict", fmt.Errorf("write: %w", conflict), true},
		{"a terminating namespace", fmt.Errorf("apply: %w", terminating), true},
		{"both", errors.Join(fmt.Errorf("write: %w", conflict), errors.Join(terminating)), true},
		{"forbidden", forbidden, false},
		{"forbidden and a conflict", errors.Join(conflict, forbidden), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := isTransient(test.err); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestPhase(t *testing.T) {
	for _, test := range []struct {
		ready, wanted int32
		want          v1alpha1.RuntimePhase
	}{
		{0, 0, v1alpha1.RuntimePhaseReady},
		{0, 3, v1alpha1.RuntimePhaseNotReady},
		{1, 3, v1alpha1.RuntimePhasePartialReady},
		{3, 3, v1alpha1.RuntimePhaseReady},
		{4, 3, v1alpha1.RuntimePhaseReady},
	} {
		if got := phase(test.ready, test.wanted); got != test.want {
			t.Errorf("%d of %d is %s, want %s", test.ready, test.wanted, got, test.want)
		}
	}
}

func TestByteSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0.00B", 1023: "1023.00B", 1536: "1.50KiB", 1 << 30: "1.00GiB", 3 << 40: "3.00TiB", 1 << 50: "1024.00TiB"} {
		if got := byteSize(n); got != want {
			t.Errorf("%d bytes print as %s, want %s", n, got, want)
		}
	}
}

func TestTolerates(t *testing.T) {
	taint := corev1.Taint{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule}
	for _, test := range []struct {
		name string
		t    corev1.Toleration
		want bool
	}{
		{"everything", corev1.Toleration{Operator: corev1.TolerationOpExists}, true},
		{"the key", corev1.Toleration{Key: "gpu", Operator: corev1.TolerationOpExists}, true},
		{"key and value", corev1.Toleration{Key: "gpu", Value: "yes"}, true},
		{"another value", corev1.Toleration{Key: "gpu", Value: "no"}, false},
		{"another effect", corev1.Toleration{Key: "gpu", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}, false},
		{"another key", corev1.Toleration{Key: "tpu", Operator: corev1.TolerationOpExists}, false},
	} {
		if got := tolerates([]corev1.Toleration{test.t}, &taint); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
