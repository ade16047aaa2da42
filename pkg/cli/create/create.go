// Package create is the create commands: manifests out of flags or files,
// checked by the same validator as everywhere else before the first of them is
// sent, and applied server-side, so that what others have set is never taken
// from them without a word. Credentials reach the cluster as Secrets only.
package create

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// created is the format that says what was done.
const created = "created"

// FieldManager of what the plugin applies.
const FieldManager = "kubectl-jindo"

// Values of --dry-run.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

// options that every create command has.
type options struct {
	session        *session.Session
	format         *output.Format
	dryRun         string
	sources        manifest.Sources
	fieldManager   string
	forceConflicts bool
	wait           bool
	timeout        time.Duration

	// said are the warnings that were written already.
	said map[string]bool
}

// New makes the create command.
func New(s *session.Session) *cobra.Command {
	o := newOptions(s)
	cmd := &cobra.Command{
		Use:   "create (dataset|runtime) NAME | -f FILE",
		Short: "Make Datasets and JindoRuntimes",
		Long: `Make Datasets and JindoRuntimes out of flags or files.

Everything is checked before anything is sent. What is there already is changed
to what is asked for (configured), or is so already (unchanged); a field that
somebody else has set to another value is left alone and named, unless
--force-conflicts takes it over.

With --dry-run=client no cluster is spoken to: the manifest is checked and
printed, ready for "kubectl apply -f -" or "local up -f -".`,
		Example: "  " + s.Name + " create -f dataset.yaml -f runtime.yaml --wait",
		Args:    session.None,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.fromFiles(cmd) },
	}
	o.sources.AddFlags(cmd.Flags(), "files, directories or URLs with manifests; - is standard input")
	o.addFlags(cmd)
	cmd.AddCommand(newDataset(s), newRuntime(s))
	return cmd
}

func newOptions(s *session.Session) *options {
	return &options{session: s, format: output.New(created), said: map[string]bool{}}
}

func (o *options) addFlags(cmd *cobra.Command) {
	const patience = 5 * time.Minute
	flags := cmd.Flags()
	flags.StringVar(&o.dryRun, "dry-run", dryRunNone, "client: check and print only; server: let the API server check it, and change nothing")
	flags.Lookup("dry-run").NoOptDefVal = "unspecified"
	flags.StringVar(&o.fieldManager, "field-manager", FieldManager, "who the fields belong to afterwards")
	flags.BoolVar(&o.forceConflicts, "force-conflicts", false, "take over fields that somebody else has set to another value")
	flags.BoolVar(&o.wait, "wait", false, "wait until Datasets are Bound and JindoRuntimes are Ready")
	flags.DurationVar(&o.timeout, "timeout", patience, "how long --wait waits; then the exit code is 4")
	o.format.AddFlag(flags)
}

func (o *options) fromFiles(cmd *cobra.Command) error {
	if o.sources.IsEmpty() {
		return clierror.Usagef("say what to create: dataset NAME, runtime NAME, or -f FILE").WithTry("%s --help", cmd.CommandPath())
	}
	if err := o.validate(); err != nil {
		return err
	}
	set, err := manifest.Read(cmd.Context(), manifest.Options{
		Sources: o.sources, Stdin: o.session.Streams.In,
		Namespace: o.session.Namespace, // what names none is printed without one
	})
	if err != nil {
		return err
	}
	if len(set.Objects) == 0 {
		return clierror.Usagef("the files hold no object")
	}
	o.warn(set.Warnings...)
	return o.finish(cmd.Context(), set.Objects)
}

// fromFlags checks objects that were made out of flags.
func (o *options) fromFlags(ctx context.Context, objects ...runtime.Object) error {
	if err := o.validate(); err != nil {
		return err
	}
	for _, object := range objects {
		if _, secret := object.(*corev1.Secret); secret {
			continue
		}
		named, ok := object.(metav1.Object)
		if !ok {
			return clierror.Generalf("an object has no name")
		}
		warnings, err := manifest.Validate(object, named.GetName())
		if err != nil {
			return &clierror.Error{Code: clierror.Usage, Err: err}
		}
		o.warn(warnings...)
	}
	return o.finish(ctx, objects)
}

// finish prints the checked objects or sends them.
func (o *options) finish(ctx context.Context, objects []runtime.Object) error {
	ordered, err := inOrder(objects)
	if err != nil {
		return err
	}
	if o.dryRun == dryRunClient {
		return o.printManifests(ordered)
	}
	return o.send(ctx, ordered)
}

func (o *options) warn(warnings ...string) {
	for _, warning := range warnings {
		if o.said[warning] {
			continue
		}
		o.said[warning] = true
		o.session.Say("warning: %s", warning)
	}
}

// validate checks the flags.
func (o *options) validate() error {
	if err := o.format.Validate(); err != nil {
		return err
	}
	switch {
	case !slices.Contains([]string{dryRunNone, dryRunClient, dryRunServer}, o.dryRun):
		return clierror.Usagef("--dry-run must be none, client or server, not %q", o.dryRun).WithTry("--dry-run=client")
	case o.wait && o.dryRun != dryRunNone:
		return clierror.Usagef("--wait waits for what is created, and --dry-run=%s creates nothing: leave one of them out", o.dryRun)
	case o.timeout <= 0:
		return clierror.Usagef("--timeout must be above zero, not %v", o.timeout)
	case o.fieldManager == "":
		return clierror.Usagef("--field-manager must not be empty").WithTry("--field-manager=%s", FieldManager)
	}
	return nil
}

func meta(s *session.Session, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.Namespace}
}
