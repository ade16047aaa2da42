package datasetvolume_test

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
)

func TestPodsMount(t *testing.T) {
	for want, users := range map[string][]string{
		"pod a mounts":                        {"a"},
		"pods a and b mount":                  {"a", "b"},
		"pods a, b and c mount":               {"a", "b", "c"},
		"pods a, b, c, d and e mount":         {"a", "b", "c", "d", "e"},
		"pods a, b, c, d, e and 2 more mount": {"a", "b", "c", "d", "e", "f", "g"},
	} {
		if got := datasetvolume.PodsMount(users); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for _, test := range []struct {
		annotation, want string
		fails            bool
	}{
		{"", "100Gi", false},
		{"7Ti", "7Ti", false},
		{"much", "100Gi", true},
		{"-1Gi", "100Gi", true},
		{"0", "100Gi", true},
		{"1e-9999999", "100Gi", true},
		{"1e9999999", "100Gi", true},
	} {
		d := &v1alpha1.Dataset{}
		if test.annotation != "" {
			d.Annotations = map[string]string{v1alpha1.PVCStorageAnnotation: test.annotation}
		}
		size, err := datasetvolume.Size(d)
		if size.String() != test.want || (err != nil) != test.fails {
			t.Errorf("%q: %s, %v", test.annotation, size.String(), err)
		}
	}
}
