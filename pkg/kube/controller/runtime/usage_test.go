package runtime

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// TestHitRatios: a cache that is hot now may have a low ratio since its start. Workers
// that are lost or report no recent reads do not count.
func TestHitRatios(t *testing.T) {
	worker := func(live bool, hit, miss uint64, recent *commonv1.RecentReads) *masterv1.WorkerState {
		return &masterv1.WorkerState{Live: live, Report: &commonv1.WorkerReport{HitBytes: hit, MissBytes: miss, Recent: recent}}
	}
	for name, test := range map[string]struct {
		workers       []*masterv1.WorkerState
		total, recent string
	}{
		"nothing read": {[]*masterv1.WorkerState{worker(true, 0, 0, &commonv1.RecentReads{})}, "", ""},
		"hot now":      {[]*masterv1.WorkerState{worker(true, 10, 90, &commonv1.RecentReads{HitBytes: 8})}, "10.0%", "100.0%"},
		"older worker": {[]*masterv1.WorkerState{worker(true, 1, 1, nil)}, "50.0%", ""},
		"a lost one": {[]*masterv1.WorkerState{
			worker(true, 1, 0, &commonv1.RecentReads{HitBytes: 1, MissBytes: 1}), worker(false, 0, 9, &commonv1.RecentReads{MissBytes: 9}),
		}, "100.0%", "50.0%"},
	} {
		cache := computeUsage(&plan.Plan{Unbound: "no Dataset"}, &masterState{workers: test.workers}).cache
		if cache[v1alpha1.CacheStateCacheHitRatio] != test.total || cache[v1alpha1.CacheStateRecentHitRatio] != test.recent {
			t.Errorf("%s: %v, want %q and %q", name, cache, test.total, test.recent)
		}
	}
}
