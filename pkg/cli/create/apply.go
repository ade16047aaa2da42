package create

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

type applyOptions struct {
	*options
	sources manifest.Sources
	force   bool
}

// NewApply returns the apply command.
func NewApply(s *session.Session) *cobra.Command { return newApply(s, (*applyOptions).run) }

func newApply(s *session.Session, run func(*applyOptions, context.Context) error) *cobra.Command {
	o := &applyOptions{options: newOptions(s, "applied")}
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create or change objects with a manifest",
		Long: `Create or change Datasets, JindoRuntimes, DataLoads and Secrets with a manifest.

Exactly the fields of the manifest are sent (server-side apply). Fields that it
does not have stay as they are, except those that an earlier apply set and that
were since removed from the manifest: they are removed, with a warning. A field
that another manager owns with another value is a conflict, and nothing is
changed then, unless --force-conflicts is given.

All objects are checked by the API server before the first is changed.`,
		Example: "  " + s.Name + " apply -f runtime.yaml --dry-run=server\n  " + s.Name + " apply -f runtime.yaml --wait",
		Args:    session.None,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.sources.IsEmpty() {
				return clierror.Usagef("nothing to apply: give -f FILE or -k DIRECTORY").WithTry("%s --help", cmd.CommandPath())
			}
			return run(o, cmd.Context())
		},
	}
	o.sources.AddFlags(cmd.Flags(), "files, directories or URLs with the manifests to apply; - is standard input")
	o.addFlags(cmd)
	addForceFlag(cmd, &o.force)
	return cmd
}

func (o *applyOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	set, err := o.readManifests(ctx, o.sources, o.dryRun != dryRunClient)
	if err != nil {
		return err
	}
	objects := inOrder(set.Given)
	for _, u := range objects {
		if u.GetName() == "" && u.GetGenerateName() == "" {
			return clierror.Usagef("%s without a name cannot be applied: write metadata.name", u.GetKind())
		}
		if u.GetName() == "" {
			return clierror.Usagef("%s with generateName %q cannot be applied: write metadata.name", u.GetKind(), u.GetGenerateName()).
				WithTry("%s create%s", o.session.Name, arguments(o.sources, o.session.Namespace))
		}
	}
	if o.dryRun == dryRunClient {
		return o.printManifests(objects, "applied")
	}
	sender, err := o.connect(objects)
	if err != nil {
		return err
	}
	applied, err := sender.applyAll(ctx, objects, o.force)
	if err != nil {
		return err
	}
	return sender.complete(ctx, applied)
}

// application is one object that is applied.
type application struct {
	given *unstructured.Unstructured
	// old is the object before, nil if it did not exist or was not readable.
	old        *unstructured.Unstructured
	unreadable bool
	// result is what the API server made of it, in the dry run at first.
	result *unstructured.Unstructured
}

// applyAll applies all objects after a dry run of each.
func (s *sender) applyAll(ctx context.Context, objects []*unstructured.Unstructured, force bool) ([]*unstructured.Unstructured, error) {
	all := make([]*application, len(objects))
	for i, u := range objects {
		a := &application{given: u}
		all[i] = a
		var err error
		if a.old, a.unreadable, err = s.get(ctx, u); err != nil {
			return nil, err
		}
		if a.result, err = s.apply(ctx, u, force, client.DryRunAll); err != nil {
			return nil, err
		}
	}
	for _, a := range all {
		for _, path := range removed(a.old, a.result) {
			s.warn(fmt.Sprintf("%s: %s is removed: an earlier apply set it, and the manifest no longer has it", describe(a.given), path))
		}
		if err := s.checkResult(ctx, a, objects); err != nil {
			return nil, err
		}
	}
	results := make([]*unstructured.Unstructured, len(all))
	for i, a := range all {
		if s.dryRun == dryRunNone {
			var err error
			if a.result, err = s.apply(ctx, a.given, force); err != nil {
				return nil, err
			}
		}
		results[i] = a.result
		if err := s.report(a.result, a.outcome()); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// checkResult checks an object as it will be.
func (s *sender) checkResult(ctx context.Context, a *application, objects []*unstructured.Unstructured) error {
	typed := newObject(a.result)
	if typed == nil {
		return nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(a.result.Object, typed); err != nil {
		return fmt.Errorf("decode %s: %w", describe(a.given), err)
	}
	if _, dataset := typed.(*v1alpha1.Dataset); !dataset { // checkRules validates Datasets that a JindoRuntime claims
		if err := s.check(typed); err != nil {
			return err
		}
	}
	return s.checkRules(ctx, s.reader(objects), a.old, a.result)
}

// apply sends one object. Conflicts with fields that create or set wrote under the
// same field manager are resolved in favour of the manifest.
func (s *sender) apply(ctx context.Context, u *unstructured.Unstructured, force bool, how ...client.WriteOption) (*unstructured.Unstructured, error) {
	send := func(extra ...client.WriteOption) (*unstructured.Unstructured, error) {
		result := u.DeepCopy()
		all := slices.Concat([]client.WriteOption{client.FieldOwner(s.fieldManager)}, how, extra)
		return result, s.cluster.Apply(ctx, result, all...)
	}
	var forced []client.WriteOption
	if force {
		forced = append(forced, client.ForceOwnership)
	}
	result, err := send(forced...)
	if err != nil && s.conflictsWithItself(err) {
		result, err = send(client.ForceOwnership)
	}
	if err != nil {
		return nil, apierror.Explain(s.session, s.cluster, "applying "+describe(u), err)
	}
	result.SetManagedFields(nil)
	return result, nil
}

// conflictsWithItself reports whether all fields in conflict are managed under the
// command's own name: create and set own fields under it by another operation.
func (s *sender) conflictsWithItself(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsConflict(err) || !errors.As(err, &status) {
		return false
	}
	managers := apierror.Managers(status.Status())
	return len(managers) > 0 && !slices.ContainsFunc(managers, func(m string) bool { return m != s.fieldManager })
}

// outcome returns kubectl's word for what was done.
func (a *application) outcome() string {
	switch {
	case a.unreadable:
		return "applied"
	case a.old == nil:
		return "created"
	case same(a.old, a.result):
		return "unchanged"
	}
	return "configured"
}

// removed returns the paths of the fields that old has and result has not.
func removed(old, result *unstructured.Unstructured) []string {
	if old == nil {
		return nil
	}
	var paths []string
	var compare func(path string, before, after map[string]any)
	compare = func(path string, before, after map[string]any) {
		for key, value := range before {
			at := path + "." + key
			there, has := after[key]
			if !has {
				paths = append(paths, at[1:])
				continue
			}
			nested, isMap := value.(map[string]any)
			if now, still := there.(map[string]any); isMap && still {
				compare(at, nested, now)
			}
		}
	}
	content := func(u *unstructured.Unstructured) map[string]any {
		return map[string]any{"spec": orEmpty(u.Object["spec"]), "data": orEmpty(u.Object["data"]), "metadata": map[string]any{
			"annotations": orEmpty(toAny(u.GetAnnotations())), "labels": orEmpty(toAny(u.GetLabels())),
		}}
	}
	compare("", content(old), content(result))
	slices.Sort(paths)
	return paths
}

func orEmpty(value any) any {
	if value == nil {
		return map[string]any{}
	}
	return value
}

func toAny(values map[string]string) any {
	converted := map[string]any{}
	for key, value := range values {
		converted[key] = value
	}
	return converted
}
