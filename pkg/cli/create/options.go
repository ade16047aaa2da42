package create

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// FieldManager is the field manager of everything that the plugin writes.
const FieldManager = "kubectl-jindo"

// Values of --dry-run.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

// defaultTimeout is the default time limit of --wait.
const defaultTimeout = 5 * time.Minute

// options are shared by the commands of this package.
type options struct {
	session *session.Session
	format  *output.Format
	// text is the name of the format in which a line for each object is printed.
	text         string
	dryRun       string
	fieldManager string
	wait         bool
	timeout      time.Duration

	// warned holds the warnings that were printed.
	warned map[string]bool
}

func newOptions(s *session.Session, text string) *options {
	return &options{session: s, text: text, format: output.New(text), warned: map[string]bool{}}
}

func (o *options) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.dryRun, "dry-run", dryRunNone, "none, client (check and print only) or server (validate on the API server, and change nothing)")
	flags.Lookup("dry-run").NoOptDefVal = dryRunClient
	flags.StringVar(&o.fieldManager, "field-manager", FieldManager, "name of the manager that owns the fields")
	flags.BoolVar(&o.wait, "wait", false, "wait until Datasets are Bound and JindoRuntimes are Ready")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout, "how long --wait waits; the exit code is 4 when it ends")
	o.format.AddFlag(flags)
}

// addForceFlag adds --force-conflicts.
func addForceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force-conflicts", false, "take over fields that another manager owns")
}

// validate checks the flags.
func (o *options) validate() error {
	if err := o.format.Validate(); err != nil {
		return err
	}
	switch {
	case !slices.Contains([]string{dryRunNone, dryRunClient, dryRunServer}, o.dryRun):
		return clierror.Usagef("invalid --dry-run %q: want none, client or server", o.dryRun).WithTry("--dry-run=client")
	case o.wait && o.dryRun != dryRunNone:
		return clierror.Usagef("--wait and --dry-run=%s cannot be used together: a dry run changes nothing to wait for", o.dryRun)
	case o.timeout <= 0:
		return clierror.Usagef("invalid --timeout %v: must be greater than zero", o.timeout)
	case o.fieldManager == "":
		return clierror.Usagef("--field-manager must not be empty").WithTry("--field-manager=%s", FieldManager)
	}
	return nil
}

// readManifests reads the objects of the sources and prints their warnings.
func (o *options) readManifests(ctx context.Context, sources manifest.Sources, partial bool) (*manifest.Set, error) {
	sources.Timeout = o.session.RequestTimeout
	set, err := manifest.Read(ctx, manifest.Options{
		Sources: sources, Stdin: o.session.Streams.In, Partial: partial,
		Namespace: o.session.Namespace, // without --namespace the cluster's is set later, and dry runs print none
	})
	if err != nil {
		return nil, err
	}
	if len(set.Objects) == 0 {
		return nil, clierror.Usagef("no objects in the manifests")
	}
	if err := checkDuplicates(set.Given); err != nil {
		return nil, err
	}
	o.warn(set.Warnings...)
	return set, nil
}

// warn prints warnings, each once.
func (o *options) warn(warnings ...string) {
	for _, warning := range warnings {
		if o.warned[warning] {
			continue
		}
		o.warned[warning] = true
		o.session.Say("warning: %s", warning)
	}
}
