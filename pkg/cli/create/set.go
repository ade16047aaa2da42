package create

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

// editOptions are the options of scale, set and rollout, which change fields of one
// JindoRuntime.
type editOptions struct {
	*options
	workers, masters int32
	quotas           []string
	// updates is the value of the annotation about updates, which is removed if it is
	// empty; nil leaves it unchanged.
	updates *string
	// retry is the value of the annotation that repeats an update that failed; empty
	// leaves it unchanged.
	retry string
	// undo is the revision to return to, 0 for the one before the last edit; nil changes
	// nothing.
	undo  *int64
	force bool
	// given reports whether a flag was given.
	given func(flag string) bool
}

// NewScale returns the scale command.
func NewScale(s *session.Session) *cobra.Command { return newScale(s, (*editOptions).run) }

func newScale(s *session.Session, run func(*editOptions, context.Context, string) error) *cobra.Command {
	o := &editOptions{options: newOptions(s, "scaled")}
	cmd := &cobra.Command{
		Use:   "scale NAME --workers N",
		Short: "Change the number of workers of a JindoRuntime",
		Long: `Change the number of workers of a JindoRuntime. Nothing else is changed.

Removing workers drops what only they cache; it is read from the store again.`,
		Example: fmt.Sprintf("  %[1]s scale hadoop --workers 5 --wait\n  %[1]s scale jindoruntime/hadoop --workers 5", s.Name),
	}
	o.complete(cmd, run, "workers")
	return cmd
}

// NewSet returns the set command.
func NewSet(s *session.Session) *cobra.Command { return newSet(s, (*editOptions).run) }

func newSet(s *session.Session, run func(*editOptions, context.Context, string) error) *cobra.Command {
	o := &editOptions{options: newOptions(s, "configured")}
	cmd := &cobra.Command{
		Use:   "set runtime NAME",
		Short: "Change single fields of a JindoRuntime",
		Long: `Change single fields of a JindoRuntime. Nothing else is changed.

The numbers of workers and masters are changed while the runtime serves. A new quota
of a tier replaces the workers, one at a time.

Other fields are changed with "apply".`,
		Example: fmt.Sprintf("  %[1]s set runtime hadoop --workers 5\n  %[1]s set runtime hadoop --quota /mnt/disk1=4G", s.Name),
	}
	o.complete(cmd, run, "workers", "masters", "quota")
	return cmd
}

// complete adds the flags that change the named fields, and the rest of a command.
func (o *editOptions) complete(cmd *cobra.Command, run func(*editOptions, context.Context, string) error, fields ...string) {
	flags := cmd.Flags()
	for _, field := range fields {
		switch field {
		case "workers":
			flags.Int32Var(&o.workers, "workers", 0, "number of workers")
		case "masters":
			flags.Int32Var(&o.masters, "masters", 0, "number of masters: 1 or 3")
		case "quota":
			flags.StringArrayVar(&o.quotas, "quota", nil, "quota of the tier with this path: PATH=QUOTA; may be repeated")
		}
	}
	o.addFlags(cmd)
	addForceFlag(cmd, &o.force)
	o.given = func(flag string) bool { return flags.Changed(flag) }
	cmd.ValidArgsFunction = completion.Once(completion.Runtimes(o.session))
	if cmd.Name() == "set" {
		cmd.ValidArgsFunction = completeTypeAndName(o.session)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := session.RuntimeName(cmd.CommandPath(), args)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(fields, o.given) {
			return clierror.Usagef("nothing to change: give --%s", strings.Join(fields, " or --")).WithTry("%s --help", cmd.CommandPath())
		}
		return run(o, cmd.Context(), name)
	}
}

// completeTypeAndName completes the arguments "runtime NAME".
func completeTypeAndName(s *session.Session) completion.Function {
	types, names := completion.Words("runtime"), completion.Runtimes(s)
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return types(cmd, args, typed)
		case 1:
			return names(cmd, nil, typed)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

func (o *editOptions) run(ctx context.Context, name string) error {
	if err := o.validate(); err != nil {
		return err
	}
	s, u, err := o.find(ctx, name)
	if err != nil {
		return err
	}
	result, err := s.edit(ctx, u, o)
	if err != nil {
		return err
	}
	return s.complete(ctx, []*unstructured.Unstructured{result})
}

// find reads a JindoRuntime.
func (o *editOptions) find(ctx context.Context, name string) (*sender, *unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(v1alpha1.JindoRuntimeKind))
	u.SetName(name)
	u.SetNamespace(o.session.Namespace)
	s, err := o.connect([]*unstructured.Unstructured{u})
	if err != nil {
		return nil, nil, err
	}
	if err := s.cluster.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
		if apierrors.IsNotFound(err) && !apierror.IsMissingKind(err) {
			return nil, nil, clierror.Generalf("runtime %q not found in namespace %q", name, u.GetNamespace()).
				WithTry("%s get runtimes -A", o.session.Name)
		}
		return nil, nil, apierror.Explain(o.session, s.cluster, "reading "+describe(u), err)
	}
	return s, u, nil
}

// edit changes the fields that flags were given for, with one patch.
func (s *sender) edit(ctx context.Context, old *unstructured.Unstructured, o *editOptions) (*unstructured.Unstructured, error) {
	changed := old.DeepCopy()
	paths, err := o.change(changed)
	if err != nil {
		return nil, err
	}
	if same(old, changed) {
		return old, s.report(old, "unchanged")
	}
	if err := s.checkOwners(old, paths, o.force); err != nil {
		return nil, err
	}
	typed := &application{given: changed, old: old, result: changed}
	if err := s.checkResult(ctx, typed, nil); err != nil {
		return nil, err
	}
	if s.dryRun != dryRunClient {
		how := []client.WriteOption{client.FieldOwner(s.fieldManager)}
		if s.dryRun == dryRunServer {
			how = append(how, client.DryRunAll)
		}
		// The resource version in the patch makes a concurrent change a conflict.
		if err := s.cluster.MergePatch(ctx, old, changed, how...); err != nil {
			return nil, apierror.Explain(s.session, s.cluster, "changing "+describe(old), err)
		}
	}
	changed.SetManagedFields(nil)
	return changed, s.report(changed, s.text)
}

// change sets the fields in u and returns their paths.
func (o *editOptions) change(u *unstructured.Unstructured) (paths []string, err error) {
	set := func(value int32, path ...string) {
		if err == nil {
			err = unstructured.SetNestedField(u.Object, int64(value), path...)
		}
		paths = append(paths, "."+strings.Join(path, "."))
	}
	if o.given("workers") {
		set(o.workers, "spec", "replicas")
	}
	if o.given("masters") {
		set(o.masters, "spec", "master", "replicas")
	}
	if err != nil {
		return nil, fmt.Errorf("change %s: %w", describe(u), err)
	}
	if o.undo != nil {
		return undoTo(u, *o.undo)
	}
	if o.updates != nil {
		paths = append(paths, annotate(u, v1alpha1.UpdatesAnnotation, *o.updates))
	}
	if o.retry != "" {
		if _, reverted, _ := unstructured.NestedMap(u.Object, "status", "reverted"); !reverted {
			return nil, clierror.Generalf("no update of %s has failed", describe(u))
		}
		paths = append(paths, annotate(u, v1alpha1.RetryAnnotation, o.retry))
	}
	for _, quota := range o.quotas {
		if err := setQuota(u, quota); err != nil {
			return nil, err
		}
		paths = append(paths, ".spec.tieredstore")
	}
	return paths, nil
}

// annotate sets an annotation, or removes it if value is empty, and returns its path.
func annotate(u *unstructured.Unstructured, annotation, value string) string {
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	if annotations[annotation] = value; value == "" {
		delete(annotations, annotation)
	}
	if len(annotations) == 0 {
		annotations = nil // which removes the field
	}
	u.SetAnnotations(annotations)
	return ".metadata.annotations." + annotation
}

// setQuota sets the quota of the tier with the path of PATH=QUOTA.
func setQuota(u *unstructured.Unstructured, text string) error {
	path, quota, found := strings.Cut(text, "=")
	if !found || path == "" || quota == "" {
		return clierror.Usagef("invalid --quota %q: want PATH=QUOTA", text).WithTry("--quota /mnt/disk1=4G")
	}
	levels, _, err := unstructured.NestedSlice(u.Object, "spec", "tieredstore", "levels")
	if err != nil {
		return fmt.Errorf("read the tiers of %s: %w", describe(u), err)
	}
	var existing []string
	for _, level := range levels {
		fields, ok := level.(map[string]any)
		if !ok {
			continue
		}
		at, _ := fields["path"].(string)
		if at != path {
			existing = append(existing, at)
			continue
		}
		if _, perPath := fields["quotaList"]; perPath {
			return clierror.Usagef("the tier %s has a quotaList: change it with apply", path)
		}
		fields["quota"] = quota
		if err := unstructured.SetNestedSlice(u.Object, levels, "spec", "tieredstore", "levels"); err != nil {
			return fmt.Errorf("change the tiers of %s: %w", describe(u), err)
		}
		return nil
	}
	return clierror.Usagef("%s has no tier with path %q: it has %s", describe(u), path, strings.Join(existing, ", "))
}

// checkOwners refuses to change fields that another manager applies, since that
// manager would change them back.
func (s *sender) checkOwners(u *unstructured.Unstructured, paths []string, force bool) error {
	if force {
		return nil
	}
	for _, entry := range u.GetManagedFields() {
		if entry.Operation != metav1.ManagedFieldsOperationApply || entry.FieldsV1 == nil || entry.Manager == s.fieldManager {
			continue
		}
		owned := &fieldpath.Set{}
		if err := owned.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return fmt.Errorf("read the managed fields of %s: %w", describe(u), err)
		}
		var conflict string
		owned.Iterate(func(path fieldpath.Path) {
			at := path.String()
			for _, changed := range paths {
				if at == changed || strings.HasPrefix(at, changed+".") || strings.HasPrefix(at, changed+"[") {
					conflict = changed
				}
			}
		})
		if conflict != "" {
			return clierror.Generalf("changing %s: %s is managed by %s", describe(u), conflict, entry.Manager).
				WithHint("change it there, or it may be changed back; --force-conflicts changes it here")
		}
	}
	return nil
}
