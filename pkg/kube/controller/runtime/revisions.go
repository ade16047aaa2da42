package runtime

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// revisions are the revisions of the effective specs that this process has written, so
// that a pass does not carry out an earlier one that a cache still has. It is safe for
// concurrent use.
type revisions struct {
	mu    sync.Mutex
	known map[types.UID]int64
}

func newRevisions() *revisions { return &revisions{known: map[types.UID]int64{}} }

// stale reports whether a runtime has an earlier effective spec than was written.
func (v *revisions) stale(runtime *v1alpha1.JindoRuntime) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return revisionOf(runtime) < v.known[runtime.UID]
}

// record records the effective spec of a runtime that was read from the API server, or
// written.
func (v *revisions) record(runtime *v1alpha1.JindoRuntime) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known[runtime.UID] = revisionOf(runtime)
}

func (v *revisions) forget(uid types.UID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.known, uid)
}

func revisionOf(runtime *v1alpha1.JindoRuntime) int64 {
	if runtime.Status.Effective == nil {
		return 0
	}
	return runtime.Status.Effective.Revision
}
