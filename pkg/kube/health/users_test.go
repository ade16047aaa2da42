package health_test

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/kube/health"
)

func TestPodsMount(t *testing.T) {
	for want, users := range map[string][]string{
		"pod a mounts":                        {"a"},
		"pods a and b mount":                  {"a", "b"},
		"pods a, b and c mount":               {"a", "b", "c"},
		"pods a, b, c, d and e mount":         {"a", "b", "c", "d", "e"},
		"pods a, b, c, d, e and 2 more mount": {"a", "b", "c", "d", "e", "f", "g"},
	} {
		if got := health.PodsMount(users); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
