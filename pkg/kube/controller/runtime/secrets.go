package runtime

import (
	"context"
	"fmt"
	"strings"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/authority"
	"github.com/jindo-io/jindo/pkg/mtls"
)

// secrets keeps the certificates of a runtime's components and the credentials of its
// mounts. Both are renewed as long as the runtime serves, also while its spec is not
// valid and while its deletion waits.
//
// Input: the desired state, and the values of credentials that the declared Dataset has
// as plain text. Output: the Secrets, the authority, and the condition CredentialsReady.
type secrets struct {
	authorities *authority.Manager
	credentials CredentialsSync
}

func (s secrets) reconcile(ctx context.Context, r *report, want *desired, declared declaration) (*mtls.Authority, error) {
	authority, err := s.authorities.Authority(ctx, r.runtime)
	if err != nil {
		return nil, err
	}
	if err := s.authorities.Sync(ctx, r.runtime, authority, want.plan, want.topology); err != nil {
		return authority, err
	}
	return authority, s.syncCredentials(ctx, r, want, declared)
}

func (s secrets) syncCredentials(ctx context.Context, r *report, want *desired, declared declaration) error {
	if s.credentials == nil {
		return nil
	}
	unsealed := *want.plan
	unsealed.Credentials = declared.Unseal(want.plan, want.effective)
	problems, err := s.credentials(ctx, r.runtime, &unsealed)
	if err != nil {
		return err
	}
	switch {
	case len(problems) > 0:
		messages := make([]string, len(problems))
		for i, problem := range problems {
			messages[i] = fmt.Sprintf("mount %s: %s", problem.Mount, problem.Message)
		}
		r.setCondition(v1alpha1.RuntimeCredentialsReady, false, reasonMissing, strings.Join(messages, "; "))
	case len(want.plan.Credentials) > 0:
		r.setCondition(v1alpha1.RuntimeCredentialsReady, true, reasonReady, "the credentials of every mount are available")
	default:
		removeCondition(&r.status.Conditions, v1alpha1.RuntimeCredentialsReady)
	}
	return nil
}
