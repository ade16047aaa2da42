package check

import (
	"context"
	"fmt"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// right is one verb on one resource.
type right struct{ verb, group, resource, subresource, namespace string }

func (r right) String() string {
	text := r.verb + " " + r.resource
	if r.subresource != "" {
		text += "/" + r.subresource
	}
	if r.namespace != "" {
		text += " in " + r.namespace
	}
	return text
}

func rightsToInstall(ctx context.Context, w *checkContext) outcome {
	const system = names.SystemNamespace
	lacking, all, err := lack(ctx, w, []right{
		{"create", "", "namespaces", "", ""},
		{"create", "apiextensions.k8s.io", "customresourcedefinitions", "", ""},
		{"create", "rbac.authorization.k8s.io", "clusterroles", "", ""},
		{"create", "rbac.authorization.k8s.io", "clusterrolebindings", "", ""},
		{"create", "storage.k8s.io", "csidrivers", "", ""},
		{"create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", ""},
		{"create", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", ""},
		{"create", "admissionregistration.k8s.io", "validatingadmissionpolicies", "", ""},
		{"create", "apps", "deployments", "", system},
		{"create", "apps", "daemonsets", "", system},
		{"create", "", "serviceaccounts", "", system},
		{"create", "", "services", "", system},
	})
	switch {
	case err != nil:
		return w.unread("review your rights", err)
	case len(lacking) > 0:
		return bad("you lack rights for an installation: %s", several(lacking))
	}
	return good("you have the %d rights that an installation requires", all)
}

func rightsToUse(ctx context.Context, w *checkContext) outcome {
	const group = v1alpha1.Group
	lacking, all, err := lack(ctx, w, []right{
		{"list", group, "datasets", "", w.namespace},
		{"create", group, "datasets", "", w.namespace},
		{"patch", group, "datasets", "", w.namespace},
		{"delete", group, "datasets", "", w.namespace},
		{"list", group, "jindoruntimes", "", w.namespace},
		{"create", group, "jindoruntimes", "", w.namespace},
		{"patch", group, "jindoruntimes", "", w.namespace},
		{"list", "", "pods", "", w.namespace},
		{"create", "", "pods", "portforward", w.namespace},
		{"get", "", "secrets", "", w.namespace},
		{"list", "", "events", "", w.namespace},
	})
	switch {
	case err != nil:
		return w.unread("review your rights", err)
	case len(lacking) > 0:
		return warn("you have %d of the %d rights that the commands use; missing: %s", all-len(lacking), all, several(lacking))
	}
	return good("you have the %d rights that the commands use in %s", all, w.namespace)
}

// lack reviews all rights concurrently and returns those that are missing, in
// their order, and the number of rights.
func lack(ctx context.Context, w *checkContext, rights []right) (lacking []string, all int, err error) {
	allowed := make([]bool, len(rights))
	failed := make([]error, len(rights))
	var reviews sync.WaitGroup
	for i, r := range rights {
		reviews.Go(func() { allowed[i], failed[i] = w.may(ctx, r) })
	}
	reviews.Wait()
	for i, r := range rights {
		if failed[i] != nil {
			return nil, 0, failed[i]
		}
		if !allowed[i] {
			lacking = append(lacking, r.String())
		}
	}
	return lacking, len(rights), nil
}

func (w *checkContext) may(ctx context.Context, r right) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: r.verb, Group: r.group, Resource: r.resource, Subresource: r.subresource, Namespace: r.namespace,
		},
	}}
	if err := w.cluster.Create(ctx, review); err != nil {
		return false, fmt.Errorf("review the right to %s: %w", r, err)
	}
	return review.Status.Allowed, nil
}
