package manager

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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

// A process is ready when the caches of all its controllers are filled, and
// alive before.
func TestHealth(t *testing.T) {
	h := newHealth(2)
	get := func(path string) int {
		w := httptest.NewRecorder()
		h.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}
	for ready, want := range []int{http.StatusServiceUnavailable, http.StatusServiceUnavailable, http.StatusOK} {
		h.ready.Store(int32(ready))
		if got := get("/readyz"); got != want {
			t.Errorf("with %d of 2 it answers %d", ready, got)
		}
	}
	if get("/healthz") != http.StatusOK || get("/metrics") != http.StatusOK {
		t.Error("it does not answer")
	}
	if h.started().NeedLeaderElection() {
		t.Error("only a leader would become ready")
	}
}
