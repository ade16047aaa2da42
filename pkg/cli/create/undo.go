package create

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// newUndo returns the command that returns to an earlier spec.
func newUndo(s *session.Session) *cobra.Command {
	o := &editOptions{options: newOptions(s, "restored"), given: func(string) bool { return false }}
	cmd := &cobra.Command{
		Use:   "undo NAME",
		Short: "Return to an earlier spec",
		Long: `Return to the spec before the last edit, or to another one of "history".

The spec of the JindoRuntime is changed, except its number of workers, and pods are
replaced as after any other edit, one at a time. Undo itself can be undone. The
Dataset and the images of an upgrade of the controllers are not changed.`,
		Example: fmt.Sprintf("  %[1]s rollout undo hadoop\n  %[1]s rollout undo hadoop --to-revision 3", s.Name),
	}
	o.undo = cmd.Flags().Int64("to-revision", 0, `revision of "history"; 0 selects the spec before the last edit`)
	completeUpdates(cmd, o)
	return cmd
}

// newHistory returns the command that shows earlier specs.
func newHistory(s *session.Session) *cobra.Command {
	var noHeaders bool
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show the last specs of a JindoRuntime",
		Long: `Show the last specs of a JindoRuntime, the newest last, with the fields that each of
them changed.

The specs themselves are in status.history of the JindoRuntime.`,
		Example:           fmt.Sprintf("  %s rollout history hadoop", s.Name),
		ValidArgsFunction: completion.Once(completion.Runtimes(s)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := session.RuntimeName(cmd.CommandPath(), args)
			if err != nil {
				return err
			}
			o := &editOptions{options: newOptions(s, "")}
			_, u, err := o.find(cmd.Context(), name)
			if err != nil {
				return err
			}
			typed, err := typedRuntime(u)
			if err != nil {
				return err
			}
			return historyTable(typed.Status.History, noHeaders, time.Now()).Write(s.Streams.Out, s.Screen())
		},
	}
	cmd.Flags().BoolVar(&noHeaders, "no-headers", false, "omit the header")
	return cmd
}

func historyTable(history []v1alpha1.SpecRevision, noHeaders bool, now time.Time) *printer.Table {
	t := &printer.Table{NoHeaders: noHeaders, Columns: []printer.Column{{Title: "REVISION"}, {Title: "AGE"}, {Title: "CHANGED"}}}
	for i, revision := range history {
		changed := "" // what the first one changed is not known
		if i > 0 {
			changed = strings.Join(changedFields(history[i-1].Spec, revision.Spec), ", ")
		}
		t.Add(strconv.FormatInt(revision.Generation, 10), printer.Age(revision.Time.Time, now), changed)
	}
	return t
}

func typedRuntime(u *unstructured.Unstructured) (*v1alpha1.JindoRuntime, error) {
	typed := &v1alpha1.JindoRuntime{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed); err != nil {
		return nil, fmt.Errorf("read %s: %w", describe(u), err)
	}
	return typed, nil
}

// undoTo changes the spec of u to that of a revision, 0 for the one before the last edit,
// and returns the paths of the fields that change.
func undoTo(u *unstructured.Unstructured, revision int64) ([]string, error) {
	typed, err := typedRuntime(u)
	if err != nil {
		return nil, err
	}
	target, err := findRevision(describe(u), typed, revision)
	if err != nil {
		return nil, err
	}
	target.Replicas = typed.Spec.Replicas
	var paths []string
	for _, field := range changedFields(typed.Spec, target) {
		paths = append(paths, "."+field)
	}
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&target)
	if err != nil {
		return nil, fmt.Errorf("encode the spec of %s: %w", describe(u), err)
	}
	declared, _, err := unstructured.NestedMap(u.Object, "spec")
	if err != nil {
		return nil, fmt.Errorf("read the spec of %s: %w", describe(u), err)
	}
	if declared == nil {
		declared = map[string]any{}
	}
	restore(declared, spec, paths)
	return paths, unstructured.SetNestedMap(u.Object, declared, "spec")
}

// restore replaces the fields of a spec at paths by those of another one. Other fields,
// also those that this version does not know, remain.
func restore(declared, spec map[string]any, paths []string) {
	for _, path := range paths {
		names := strings.Split(strings.TrimPrefix(path, ".spec."), ".")
		value, found, err := unstructured.NestedFieldCopy(spec, names...)
		if err != nil || !found {
			unstructured.RemoveNestedField(declared, names...)
			continue
		}
		if err := unstructured.SetNestedField(declared, value, names...); err != nil {
			declared[names[0]] = spec[names[0]] // a field on the path is no object
		}
	}
}

// findRevision returns the spec of a revision. 0 selects the newest one that differs from
// the declared spec: that before the last edit, or if that was not valid, the last valid.
func findRevision(of string, runtime *v1alpha1.JindoRuntime, revision int64) (v1alpha1.JindoRuntimeSpec, error) {
	for _, r := range slices.Backward(runtime.Status.History) {
		spec := *r.Spec.DeepCopy()
		spec.Replicas = runtime.Spec.Replicas
		if revision == r.Generation || revision == 0 && !equality.Semantic.DeepEqual(spec, runtime.Spec) {
			return spec, nil
		}
	}
	if revision != 0 {
		return v1alpha1.JindoRuntimeSpec{}, clierror.Generalf("%s has no revision %d", of, revision).WithHint(`"rollout history" shows the revisions`)
	}
	return v1alpha1.JindoRuntimeSpec{}, clierror.Generalf("%s has no earlier spec", of)
}

// changedFields returns the paths of the fields in which two specs differ, sorted, except
// the number of workers. Lists are compared as a whole, and other fields two levels deep.
func changedFields(a, b v1alpha1.JindoRuntimeSpec) []string {
	a.Replicas, b.Replicas = nil, nil
	before, after := fieldsOf(a), fieldsOf(b)
	changed := map[string]bool{}
	for path := range maps.Keys(before) {
		changed[path] = !equality.Semantic.DeepEqual(before[path], after[path])
	}
	for path := range maps.Keys(after) {
		changed[path] = !equality.Semantic.DeepEqual(before[path], after[path])
	}
	maps.DeleteFunc(changed, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(changed))
}

// fieldsOf returns the fields of a spec by path.
func fieldsOf(spec v1alpha1.JindoRuntimeSpec) map[string]any {
	raw, err := json.Marshal(spec)
	object := map[string]any{}
	if err == nil {
		err = json.Unmarshal(raw, &object)
	}
	if err != nil {
		return map[string]any{"spec": err.Error()} // specs that were read can be encoded
	}
	fields := map[string]any{}
	for name, value := range object {
		inner, is := value.(map[string]any)
		if !is {
			fields["spec."+name] = value
			continue
		}
		for part, value := range inner {
			fields["spec."+name+"."+part] = value
		}
	}
	return fields
}
