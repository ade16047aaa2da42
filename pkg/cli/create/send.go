package create

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// sender applies objects to a cluster.
type sender struct {
	*options
	cluster *session.Cluster
	// quiet: warnings of the API server are not passed on.
	quiet bool
}

// send applies the objects. When there are several, the API server is asked
// about all of them before the first is sent, so that one that is refused
// leaves no half behind.
func (o *options) send(ctx context.Context, objects []*unstructured.Unstructured) error {
	cluster, err := o.session.Cluster()
	if err != nil {
		return err
	}
	s := &sender{options: o, cluster: cluster}
	if err := s.listen(); err != nil {
		return err
	}
	for _, u := range objects {
		if u.GetNamespace() == "" {
			u.SetNamespace(cluster.Namespace)
		}
	}
	if err := s.rules(ctx, objects); err != nil {
		return err
	}
	if err := s.check(ctx, objects); err != nil {
		return err
	}
	var results []*unstructured.Unstructured
	for _, u := range objects {
		result, done, err := s.apply(ctx, u, o.dryRun == dryRunServer)
		if err != nil {
			return err
		}
		results = append(results, result)
		if !o.format.Is(created) {
			continue
		}
		if err := o.tell(result, done, map[string]string{dryRunServer: "server dry run"}[o.dryRun]); err != nil {
			return err
		}
	}
	if o.wait {
		if err := s.await(ctx, results); err != nil {
			return err
		}
	}
	if o.format.Is(created) {
		return nil
	}
	return o.printAll(results)
}

// check asks about all objects without changing anything.
func (s *sender) check(ctx context.Context, objects []*unstructured.Unstructured) error {
	if len(objects) == 1 || s.dryRun == dryRunServer {
		return nil
	}
	s.quiet = true
	defer func() { s.quiet = false }()
	for _, u := range objects {
		if _, _, err := s.apply(ctx, u, true); err != nil {
			return err
		}
	}
	return nil
}

// apply one object, and say in kubectl's words what that did.
func (s *sender) apply(ctx context.Context, u *unstructured.Unstructured, dryRun bool) (result *unstructured.Unstructured, done string, err error) {
	what := describe(u)
	old := &unstructured.Unstructured{}
	old.SetGroupVersionKind(u.GroupVersionKind())
	err = s.cluster.Get(ctx, client.ObjectKeyFromObject(u), old)
	there := err == nil
	// Who may apply but not read is told what is known.
	unreadable := apierrors.IsForbidden(err)
	if err != nil && !unreadable && !apierrors.IsNotFound(err) {
		return nil, "", apierror.Explain(s.session, s.cluster, "looking for "+what, err)
	}
	result = u.DeepCopy()
	options := []client.ApplyOption{client.FieldOwner(s.fieldManager)}
	if s.forceConflicts {
		options = append(options, client.ForceOwnership)
	}
	if dryRun {
		options = append(options, client.DryRunAll)
	}
	if err := s.cluster.Apply(ctx, client.ApplyConfigurationFromUnstructured(result), options...); err != nil {
		return nil, "", apierror.Explain(s.session, s.cluster, "creating "+what, err)
	}
	result.SetManagedFields(nil)
	switch {
	case unreadable:
		return result, "applied", nil
	case !there:
		return result, "created", nil
	case same(old, result):
		return result, "unchanged", nil
	}
	return result, "configured", nil
}

// same says whether nothing was changed. A dry run leaves the version alone, so
// what counts is what is written there.
func same(old, result *unstructured.Unstructured) bool {
	content := func(u *unstructured.Unstructured) map[string]any {
		c := u.DeepCopy()
		c.SetManagedFields(nil)
		c.SetResourceVersion("")
		c.SetGeneration(0)
		unstructured.RemoveNestedField(c.Object, "status") // it changes meanwhile
		return c.Object
	}
	return equality.Semantic.DeepEqual(content(old), content(result))
}

func describe(u *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", u.GetKind(), u.GetNamespace(), u.GetName())
}

// listen passes the API server's warnings on, each once: the webhook has the
// same validator as we, and says the same.
func (s *sender) listen() error {
	config := rest.CopyConfig(s.cluster.Config)
	config.WarningHandlerWithContext = warnings{s}
	scheme, err := session.Scheme()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: session.Mapper(scheme)})
	if err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	s.cluster = &session.Cluster{Config: config, Client: c, Namespace: s.cluster.Namespace}
	return nil
}

type warnings struct{ *sender }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	const warning = 299
	if code != warning || text == "" || w.quiet {
		return
	}
	for said := range w.said {
		if strings.Contains(text, said) {
			return
		}
	}
	w.warn(text)
}
