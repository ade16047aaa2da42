// Package create provides the commands that write objects: create, apply, scale
// and set. Objects come from flags or manifests. They are checked by the
// validator of the webhook, and by the API server in a dry run, before the first
// of them is sent; credentials reach the cluster as Secrets only.
//
// None of the commands changes a field that was not given to it: create refuses
// objects that exist, apply sends exactly the fields of the manifest
// (server-side apply), and scale and set send a patch of single fields.
package create

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// createOptions are the options of create and its subcommands.
type createOptions struct {
	*options
	sources manifest.Sources
	// change returns a command that changes an existing object.
	change func(u *unstructured.Unstructured) string
}

// New returns the create command.
func New(s *session.Session) *cobra.Command { return newCreate(s, (*createOptions).fromFiles) }

// newCreate returns the create command, which calls run once the flags are parsed.
func newCreate(s *session.Session, run func(*createOptions, context.Context) error) *cobra.Command {
	o := newCreateOptions(s)
	cmd := &cobra.Command{
		Use:   "create (dataset NAME | runtime NAME | -f FILE)",
		Short: "Create Datasets and JindoRuntimes",
		Long: `Create Datasets and JindoRuntimes from flags or manifests.

All objects are checked before the first is sent. An object that exists is an
error (AlreadyExists), and nothing is created then; use "apply" to change objects
with a manifest, "set" and "scale" to change single fields.

With --dry-run=client the manifest is checked and printed without a cluster,
ready for "kubectl apply -f -" or "local up -f -".`,
		Example: "  " + s.Name + " create -f dataset.yaml -f runtime.yaml --wait\n  " + s.Name + " create -k overlays/production",
		Args:    session.None,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.sources.IsEmpty() {
				return clierror.Usagef("nothing to create: give dataset NAME, runtime NAME, or -f FILE").WithTry("%s --help", cmd.CommandPath())
			}
			return run(o, cmd.Context())
		},
	}
	o.sources.AddFlags(cmd.Flags(), "files, directories or URLs with the manifests to create; - is standard input")
	o.addFlags(cmd)
	cmd.AddCommand(newDataset(s, (*datasetOptions).run), newRuntime(s, (*runtimeOptions).run))
	return cmd
}

func newCreateOptions(s *session.Session) *createOptions {
	return &createOptions{options: newOptions(s, "created")}
}

func (o *createOptions) fromFiles(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	set, err := o.readManifests(ctx, o.sources, false)
	if err != nil {
		return err
	}
	o.change = func(*unstructured.Unstructured) string {
		return fmt.Sprintf("%s apply%s", o.session.Name, arguments(o.sources, o.session.Namespace))
	}
	return o.finish(ctx, inOrder(set.Given))
}

// fromFlags checks objects that were built from flags and creates them.
func (o *createOptions) fromFlags(ctx context.Context, objects ...runtime.Object) error {
	if err := o.validate(); err != nil {
		return err
	}
	var given []*unstructured.Unstructured
	for _, object := range objects {
		if err := o.check(object); err != nil {
			return err
		}
		u, err := toUnstructured(object)
		if err != nil {
			return err
		}
		given = append(given, u)
	}
	return o.finish(ctx, inOrder(given))
}

// check validates an object with its defaults.
func (o *options) check(object runtime.Object) error {
	if _, secret := object.(*corev1.Secret); secret {
		return nil
	}
	named, ok := object.(metav1.Object)
	if !ok {
		return clierror.Generalf("an object has no name")
	}
	warnings, err := manifest.Validate(object, named.GetName())
	o.warn(warnings...)
	if err != nil {
		return &clierror.Error{Code: clierror.Usage, Err: err}
	}
	return nil
}

// finish prints the checked objects, or creates them.
func (o *createOptions) finish(ctx context.Context, objects []*unstructured.Unstructured) error {
	if o.dryRun == dryRunClient {
		return o.printManifests(objects, "created")
	}
	sender, err := o.connect(objects)
	if err != nil {
		return err
	}
	created, err := sender.create(ctx, objects, o.change)
	if err != nil {
		return err
	}
	return sender.complete(ctx, created)
}

// arguments returns the flags that name the sources and the namespace.
func arguments(sources manifest.Sources, namespace string) string {
	var words strings.Builder
	for _, file := range sources.Files {
		words.WriteString(" -f " + file)
	}
	if sources.Kustomize != "" {
		words.WriteString(" -k " + sources.Kustomize)
	}
	if sources.Recursive {
		words.WriteString(" -R")
	}
	if namespace != "" {
		words.WriteString(" -n " + namespace)
	}
	return words.String()
}

func meta(s *session.Session, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.Namespace}
}
