package report

import "testing"

func TestFailureSummary(t *testing.T) {
	for name, test := range map[string]struct {
		failures []Failure
		want     string
	}{
		"none": {nil, ""},
		"one":  {[]Failure{{"a", "timeout"}}, "1 of 6 targets unreachable: a (timeout)"},
		"targets with the same reason are grouped": {
			[]Failure{{"a", "timeout"}, {"b", "timeout"}, {"c", "timeout"}}, "3 of 6 targets unreachable: a, b, c (timeout)",
		},
		"two reasons": {
			[]Failure{{"a", "timeout"}, {"b", "refused"}, {"c", "timeout"}}, "3 of 6 targets unreachable: a, c (timeout); b (refused)",
		},
	} {
		if got := FailureSummary(test.failures, 6); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestUnexplained(t *testing.T) {
	r := sample()
	r.Masters[0].Pod = &Pod{State: "OOMKilled"}
	r.Masters[1].Pod = &Pod{Ready: true}
	r.Failures = []Failure{{r.Masters[0].Name, "refused"}, {r.Masters[1].Name, "timeout"}}
	if got := r.Unexplained(); len(got) != 1 || got[0].Target != r.Masters[1].Name {
		t.Errorf("got %v, want only the one whose pod is ready", got)
	}
}
