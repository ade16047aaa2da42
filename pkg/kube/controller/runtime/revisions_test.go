package runtime

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

func TestEarlierRevisionIsStale(t *testing.T) {
	at := func(revision int64) *v1alpha1.JindoRuntime {
		r := &v1alpha1.JindoRuntime{}
		r.UID = "uid"
		if revision > 0 {
			r.Status.Effective = &v1alpha1.EffectiveSpec{Revision: revision}
		}
		return r
	}
	v := newRevisions()
	if v.stale(at(0)) || v.stale(at(1)) {
		t.Error("stale without a record")
	}
	v.record(at(2))
	if !v.stale(at(0)) || !v.stale(at(1)) || v.stale(at(2)) || v.stale(at(3)) {
		t.Error("not the revisions before 2 are stale")
	}
	// An administrator has restored an earlier one.
	v.record(at(1))
	if v.stale(at(1)) {
		t.Error("the restored revision is stale")
	}
	v.record(at(2))
	v.forget("uid")
	if v.stale(at(1)) {
		t.Error("stale after the runtime was deleted")
	}
}
