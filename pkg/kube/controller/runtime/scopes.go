package runtime

import (
	"context"
	"sync"

	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/scopes"
)

// scopeNames records the name of a runtime among those of all namespaces.
//
// Input: the runtime. Output: status.scopeName, which is saved before anything derives
// from it. A name is decided and saved under a lock, so that of two runtimes that are
// created at the same time the second one reads the name of the first.
type scopeNames struct {
	client   client.Client
	live     client.Reader
	recorder events.EventRecorder

	mu sync.Mutex
}

func (s *scopeNames) reconcile(ctx context.Context, r *report) error {
	if r.status.ScopeName != "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	scope, err := scopes.Runtime(ctx, s.live, r.runtime)
	if err != nil {
		return err
	}
	r.status.ScopeName = scope.Name
	return r.save(ctx, s.client, s.recorder)
}
