// Package create is the create commands: manifests out of flags, through the
// same validator as everything else.
package create

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/cli/failure"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// created is the format that says what was done.
const created = "created"

// options that every create command has.
type options struct {
	session *session.Session
	format  *output.Format
	dryRun  string
	files   []string
}

// New makes the create command.
func New(s *session.Session) *cobra.Command {
	o := &options{session: s, format: output.New(created)}
	cmd := &cobra.Command{
		Use:   "create (dataset|runtime) NAME | -f FILE",
		Short: "Make Datasets and JindoRuntimes",
		Long: `Make Datasets and JindoRuntimes out of flags or files.

Nothing is sent to a cluster yet: with --dry-run=client the manifest is checked
and printed, ready for "local up -f -" or "kubectl apply -f -".`,
		Args: session.None,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.fromFiles(cmd) },
	}
	cmd.Flags().StringArrayVarP(&o.files, "filename", "f", nil, "file with manifests; - is standard input; may be repeated")
	o.addFlags(cmd)
	cmd.AddCommand(newDataset(s), newRuntime(s))
	return cmd
}

func (o *options) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.dryRun, "dry-run", "none", "client: check and print only")
	cmd.Flags().Lookup("dry-run").NoOptDefVal = "unspecified"
	o.format.AddFlag(cmd.Flags())
}

func (o *options) fromFiles(cmd *cobra.Command) error {
	if len(o.files) == 0 {
		return failure.Usagef("say what to create: dataset NAME, runtime NAME, or -f FILE").WithTry("%s --help", cmd.CommandPath())
	}
	set, err := manifest.Read(manifest.Options{
		Files: o.files, Stdin: o.session.Streams.In,
		Namespace: o.session.Namespace, // what names none is printed without one
	})
	if err != nil {
		return err
	}
	if len(set.Objects) == 0 {
		return failure.Usagef("the files hold no object")
	}
	for _, warning := range set.Warnings {
		o.session.Say("warning: %s", warning)
	}
	return o.print(set.Objects)
}

// validated checks an object that was made out of flags and prints it.
func (o *options) validated(object runtime.Object, name string) error {
	warnings, err := manifest.Validate(object, name)
	if err != nil {
		return &failure.Error{Code: failure.Usage, Err: err}
	}
	for _, warning := range warnings {
		o.session.Say("warning: %s", warning)
	}
	return o.print([]runtime.Object{object})
}

func (o *options) print(objects []runtime.Object) error {
	if err := o.checkDryRun(); err != nil {
		return err
	}
	if err := o.format.Validate(); err != nil {
		return err
	}
	shown := make([]*unstructured.Unstructured, len(objects))
	for i, object := range objects {
		u, err := strip(object)
		if err != nil {
			return err
		}
		shown[i] = u
	}
	if o.format.Is(created) {
		for _, u := range shown {
			if _, err := fmt.Fprintf(o.session.Streams.Out, "%s created (dry run)\n", name(u)); err != nil {
				return fmt.Errorf("printing: %w", err)
			}
		}
		return nil
	}
	return o.printAll(shown)
}

func (o *options) printAll(shown []*unstructured.Unstructured) error {
	if len(shown) == 1 {
		return o.format.Print(o.session.Streams.Out, shown[0], name(shown[0]))
	}
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{}}}
	names := make([]string, len(shown))
	for i, u := range shown {
		list.Items = append(list.Items, *u)
		names[i] = name(u)
	}
	return o.format.Print(o.session.Streams.Out, list, names...)
}

func (o *options) checkDryRun() error {
	if o.dryRun == "client" {
		return nil
	}
	if slices.Contains([]string{"none", "server"}, o.dryRun) {
		return failure.Generalf("no cluster is spoken to yet: nothing was created").
			WithHint("--dry-run=client -o yaml prints the manifest; it runs on this machine with %s local up -f FILE", o.session.Name).
			WithTry("add --dry-run=client -o yaml")
	}
	return failure.Usagef("--dry-run must be client, not %q", o.dryRun).WithTry("--dry-run=client")
}

// strip leaves out what a person would not write.
func strip(object runtime.Object) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("printing: %w", err)
	}
	u := &unstructured.Unstructured{Object: fields}
	unstructured.RemoveNestedField(fields, "status")
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
	prune(fields)
	return u, nil
}

// prune leaves out objects that say nothing: a struct that was not set is
// written as {}. Only of emptyDir is that the way to say something.
func prune(value any) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			prune(element)
		}
	case map[string]any:
		for key, nested := range v {
			prune(nested)
			if fields, ok := nested.(map[string]any); ok && len(fields) == 0 && key != "emptyDir" {
				delete(v, key)
			}
		}
	}
}

// name as kubectl prints it: dataset.data.fluid.io/hbase.
func name(u *unstructured.Unstructured) string {
	kind := u.GroupVersionKind()
	resource := strings.ToLower(kind.Kind)
	if kind.Group != "" {
		resource += "." + kind.Group
	}
	return resource + "/" + u.GetName()
}

func meta(s *session.Session, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.Namespace}
}
