package status

import (
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// Lower bounds and hidden keys are named.
func TestSizeOfALargeMount(t *testing.T) {
	objects, bytes := int64(20_000_001), int64(5<<30)
	d := &dashboard{}
	if got := d.size(report.Mount{Objects: &objects, Bytes: &bytes}); strings.Contains(got, "at least") || strings.Contains(got, "hidden") {
		t.Errorf("complete totals are %q", got)
	}
	got := d.size(report.Mount{Objects: &objects, Bytes: &bytes, AtLeast: true, Hidden: 2})
	if !strings.HasPrefix(got, "at least ") || !strings.HasSuffix(got, "2 hidden keys") {
		t.Errorf("a lower bound is %q", got)
	}
	if got := d.size(report.Mount{}); got != "" {
		t.Errorf("unknown totals are %q", got)
	}
}
