package manager

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/jindo-io/jindo/pkg/daemon"
)

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
		want string // part of the error; empty for none
	}{
		{"both", Options{Controllers: []string{Dataset, JindoRuntime}, Image: "i"}, ""},
		{"dataset without image", Options{Controllers: []string{Dataset}}, ""},
		{"jindoruntime without image", Options{Controllers: []string{JindoRuntime}}, "set JINDO_IMAGE"},
		{"none", Options{}, "set --controllers=dataset,jindoruntime"},
		{"unknown", Options{Controllers: []string{"alluxio"}}, `unknown controller "alluxio"`},
		{"duplicate", Options{Controllers: []string{Dataset, Dataset}}, "duplicate controller"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := validate(&test.o)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err == nil && (test.o.Namespace != "fluid-system" || test.o.Logger == nil) {
				t.Errorf("defaults %+v", test.o)
			}
		})
	}
}

// Each controller has its own lease.
func TestLeases(t *testing.T) {
	if a, b := controllers()[Dataset].lease, controllers()[JindoRuntime].lease; a != "dataset.data.fluid.io" || b != "jindo.data.fluid.io" {
		t.Errorf("leases %s and %s", a, b)
	}
}

// A process is ready when the caches of all its controllers have synced, whether or
// not it is the leader. It is alive before.
func TestReadiness(t *testing.T) {
	health := daemon.NewHealthFor(metrics.Registry)
	get := func(path string) int {
		w := httptest.NewRecorder()
		health.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}
	caches := map[string]*cacheSync{Dataset: {}, JindoRuntime: {}}
	for name, c := range caches {
		health.AddCheck(name, c.check)
		if c.NeedLeaderElection() {
			t.Error("only a leader would become ready")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{Dataset, JindoRuntime} {
		if got := get("/readyz"); got != http.StatusServiceUnavailable {
			t.Errorf("/readyz before the caches of %s have synced: status %d", name, got)
		}
		if err := caches[name].Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/readyz", "/healthz", "/metrics"} {
		if got := get(path); got != http.StatusOK {
			t.Errorf("%s: status %d", path, got)
		}
	}
}
