package v1alpha1_test

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

func TestClaimSize(t *testing.T) {
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
		size, err := v1alpha1.ClaimSize(d)
		if size.String() != test.want || (err != nil) != test.fails {
			t.Errorf("%q: %s, %v", test.annotation, size.String(), err)
		}
	}
}
