package check

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// quick is a checkContext whose deadlines end soon.
func quick() *checkContext {
	return &checkContext{now: time.Now, deadline: 50 * time.Millisecond, whole: time.Minute, grace: 10 * time.Millisecond}
}

func TestRunAll(t *testing.T) { synctest.Test(t, testRunAll) }

func testRunAll(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	always := func(o outcome) func(context.Context, *checkContext) outcome {
		return func(context.Context, *checkContext) outcome { return o }
	}
	results := runAll(t.Context(), quick(), []category{
		{"one", []checker{
			{name: "good", run: always(good("fine"))},
			{name: "deaf", run: func(context.Context, *checkContext) outcome { <-stuck; return good("late") }},
			{name: "polite", run: func(ctx context.Context, _ *checkContext) outcome { <-ctx.Done(); return bad("gave up") }},
			{name: "fatal", fatal: true, run: always(bad("broken"))},
		}},
		{"two", []checker{{name: "after", run: always(good("never"))}}},
	})
	want := []struct {
		name, message string
		state         State
	}{
		{"good", "fine", Passed},
		{"deaf", "no response in time", Failed},
		{"polite", "gave up", Failed},
		{"fatal", "broken", Failed},
		{"after", "not run: fatal failed", Skipped},
	}
	if len(results) != len(want) {
		t.Fatalf("got %d results", len(results))
	}
	for i, w := range want {
		if r := results[i]; r.Name != w.name || r.State != w.state || r.Message != w.message {
			t.Errorf("got %+v, want %+v", r, w)
		}
	}
}

// TestWholeIsBounded checks that many hanging checks end within the deadline of all.
func TestWholeIsBounded(t *testing.T) {
	w := quick()
	w.deadline, w.whole = time.Hour, 20*time.Millisecond
	deaf := checker{name: "deaf", run: func(context.Context, *checkContext) outcome { select {} }}
	results := runAll(t.Context(), w, []category{{"a", []checker{deaf, deaf}}, {"b", []checker{deaf}}, {"c", []checker{deaf}}})
	for _, r := range results {
		if r.State != Failed {
			t.Errorf("got %+v", r)
		}
	}
}

func TestUnreached(t *testing.T) {
	const called = `Internal error occurred: failed calling webhook "sidecar.fuse.fluid.io": failed to call webhook: Post "https://x": `
	for text, want := range map[string]string{
		called + "x509: certificate signed by unknown authority":       "the API server does not trust the webhook's certificate: the CA bundle in the configuration is not the webhook's",
		called + `no endpoints available for service "jindo-webhook"`:  "no pod of the webhook is ready",
		called + "dial tcp 10.0.0.1:443: connect: connection refused":  "the webhook's Service refuses connections",
		called + "context deadline exceeded":                           "the webhook did not respond in time: a NetworkPolicy or a firewall between API server and pods may be in the way",
		called + "something new":                                       called + "something new",
		"pods is forbidden: exceeded quota":                            "",
		`admission webhook "sidecar.fuse.fluid.io" denied the request`: "",
	} {
		if got := unreached(errors.New(text)); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, test := range []struct {
		found, limit string
		want         bool
	}{
		{"5.3.18-generic", "5.4", true},
		{"5.4.0-150-generic", "5.4", false},
		{"6.18.44-fc-v782", "6.9", false},
		{"v1.28.9+k3s1", "1.29.0", true},
		{"v1.34.4", "1.29.0", false},
		{"unknown", "1.0", false},
	} {
		if got := older(test.found, test.limit); got != test.want {
			t.Errorf("%s older than %s: %v", test.found, test.limit, got)
		}
	}
}
