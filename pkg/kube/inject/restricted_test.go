package inject_test

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/jindo-io/jindo/pkg/kube/inject/injecttest"
)

// TestRestricted checks that a pod that complies with Pod Security "restricted" complies
// with the sidecar too.
func TestRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	forbidden := func(raw []byte) string {
		var pod corev1.Pod
		if err := json.Unmarshal(raw, &pod); err != nil {
			t.Fatal(err)
		}
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
		return result.ForbiddenDetail()
	}
	compared := 0
	for _, c := range injecttest.Load(t, "testdata") {
		if c.Out == nil || forbidden(c.Pod) != "" {
			continue
		}
		compared++
		if why := forbidden(c.Out); why != "" {
			t.Errorf("%s: %s", c.Name, why)
		}
	}
	if compared < 5 {
		t.Errorf("only %d cases pass before", compared)
	}
}
