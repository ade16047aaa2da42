package create

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

// sender sends the requests of one command.
type sender struct {
	*options
	cluster *session.Cluster
	// muted suppresses the warnings of the API server.
	muted bool
}

// connect connects to the cluster and sets the namespace of objects without one.
func (o *options) connect(objects []*unstructured.Unstructured) (*sender, error) {
	cluster, err := o.session.Cluster()
	if err != nil {
		return nil, err
	}
	s := &sender{options: o, cluster: cluster}
	if err := s.handleWarnings(); err != nil {
		return nil, err
	}
	for _, u := range objects {
		if u.GetNamespace() == "" {
			u.SetNamespace(cluster.Namespace)
		}
	}
	return s, checkDuplicates(objects)
}

// create creates the objects. Nothing is created if one of them exists, breaks a
// rule, or is refused by the API server in a dry run. change returns the command
// that changes an existing object.
func (s *sender) create(ctx context.Context, objects []*unstructured.Unstructured, change func(*unstructured.Unstructured) string) ([]*unstructured.Unstructured, error) {
	for _, u := range objects {
		if u.GetName() == "" {
			continue // the API server generates one
		}
		old, _, err := s.get(ctx, u)
		if err != nil {
			return nil, err
		}
		if old != nil {
			return nil, s.alreadyExists(u, change)
		}
	}
	reader := s.reader(objects)
	for _, u := range objects {
		if err := s.checkRules(ctx, reader, nil, u); err != nil {
			return nil, err
		}
	}
	if err := s.dryRunAll(ctx, objects, change); err != nil {
		return nil, err
	}
	var results []*unstructured.Unstructured
	for _, u := range objects {
		var how []client.WriteOption
		if s.dryRun == dryRunServer {
			how = append(how, client.DryRunAll)
		}
		result, err := s.createOne(ctx, u, change, how...)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
		if err := s.report(result, "created"); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// dryRunAll has the API server check several objects, so that one that it refuses
// leaves none of them behind.
func (s *sender) dryRunAll(ctx context.Context, objects []*unstructured.Unstructured, change func(*unstructured.Unstructured) string) error {
	if len(objects) == 1 || s.dryRun == dryRunServer {
		return nil
	}
	s.muted = true
	defer func() { s.muted = false }()
	for _, u := range objects {
		if _, err := s.createOne(ctx, u, change, client.DryRunAll); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) createOne(ctx context.Context, u *unstructured.Unstructured, change func(*unstructured.Unstructured) string, how ...client.WriteOption) (*unstructured.Unstructured, error) {
	result := u.DeepCopy()
	err := s.cluster.Create(ctx, result, append(how, client.FieldOwner(s.fieldManager))...)
	if apierrors.IsAlreadyExists(err) {
		return nil, s.alreadyExists(u, change)
	}
	if err != nil {
		return nil, apierror.Explain(s.session, s.cluster, "creating "+describe(u), err)
	}
	result.SetManagedFields(nil)
	return result, nil
}

func (s *sender) alreadyExists(u *unstructured.Unstructured, change func(*unstructured.Unstructured) string) error {
	return clierror.Generalf("creating %s: %s already exists", describe(u), name(u)).
		WithHint("create does not change existing objects: use apply to change objects with a manifest, set and scale to change single fields").
		WithTry("%s", change(u))
}

// get returns the object as it is stored, or nil if it does not exist. unreadable
// reports that reading is forbidden, which does not keep a command from writing.
func (s *sender) get(ctx context.Context, u *unstructured.Unstructured) (old *unstructured.Unstructured, unreadable bool, err error) {
	old = &unstructured.Unstructured{}
	old.SetGroupVersionKind(u.GroupVersionKind())
	err = s.cluster.Get(ctx, client.ObjectKeyFromObject(u), old)
	switch {
	case err == nil:
		return old, false, nil
	case apierrors.IsNotFound(err) && !apierror.IsMissingKind(err):
		return nil, false, nil
	case apierrors.IsForbidden(err):
		return nil, true, nil
	}
	return nil, false, apierror.Explain(s.session, s.cluster, "reading "+describe(u), err)
}

// report prints a line about an object that was written, unless another format is
// selected.
func (s *sender) report(result *unstructured.Unstructured, outcome string) error {
	if !s.format.Is(s.text) {
		return nil
	}
	how := ""
	switch s.dryRun {
	case dryRunServer:
		how = "server dry run"
	case dryRunClient:
		how = "dry run"
	}
	return s.printLine(result, outcome, how)
}

// complete waits for the objects with --wait, and prints them.
func (s *sender) complete(ctx context.Context, results []*unstructured.Unstructured) error {
	if s.wait {
		if err := s.await(ctx, results); err != nil {
			return err
		}
	}
	if s.format.Is(s.text) {
		return nil
	}
	return s.printAll(results)
}

// same reports whether two states of an object differ in nothing but status and
// bookkeeping. The resource version does not count: a dry run keeps it.
func same(old, result *unstructured.Unstructured) bool {
	content := func(u *unstructured.Unstructured) map[string]any {
		c := u.DeepCopy()
		c.SetManagedFields(nil)
		c.SetResourceVersion("")
		c.SetGeneration(0)
		unstructured.RemoveNestedField(c.Object, "status")
		return c.Object
	}
	return equality.Semantic.DeepEqual(content(old), content(result))
}

func describe(u *unstructured.Unstructured) string {
	name := u.GetName()
	if name == "" {
		name = u.GetGenerateName() + "*"
	}
	return fmt.Sprintf("%s %s/%s", u.GetKind(), u.GetNamespace(), name)
}

// handleWarnings makes the connection pass on the warnings of the API server.
func (s *sender) handleWarnings() error {
	config := rest.CopyConfig(s.cluster.Config)
	config.WarningHandlerWithContext = warnings{s}
	scheme, err := session.Scheme()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: session.Mapper(scheme)})
	if err != nil {
		return err
	}
	s.cluster = &session.Cluster{Config: config, Client: c, Namespace: s.cluster.Namespace}
	return nil
}

// warnings prints the warnings of the API server that were not printed yet: the
// webhook has the same validator.
type warnings struct{ *sender }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	const warning = 299
	if code != warning || text == "" || w.muted {
		return
	}
	for printed := range w.warned {
		if strings.Contains(text, printed) {
			return
		}
	}
	w.warn(text)
}
