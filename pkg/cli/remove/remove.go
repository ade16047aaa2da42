// Package remove is the delete command: it says what goes and what stays before
// it asks, deletes exactly what it has spoken of, and waits until that is gone,
// naming meanwhile what is in the way.
package remove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// Values of --dry-run.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

type options struct {
	session *session.Session
	sources manifest.Sources
	all     bool
	yes     bool
	wait    bool
	timeout time.Duration
	dryRun  string
	// person says whether somebody can answer on the stream.
	person func(io.Reader) bool
}

// New makes the delete command.
func New(s *session.Session) *cobra.Command {
	o := newOptions(s)
	cmd := &cobra.Command{
		Use:   "delete (dataset|runtime) NAME... | -f FILE",
		Short: "Delete Datasets and JindoRuntimes",
		Long: `Delete Datasets and JindoRuntimes.

What goes and what stays is shown before anything is deleted, and you are asked
to type the name; --yes answers for you. What lies in the bucket is never
touched. A Dataset or runtime that pods mount goes on serving them until they
are gone.`,
		Example: "  " + s.Name + " delete dataset hbase",
		Args:    session.None,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.fromFiles(cmd) },
	}
	o.sources.AddFlags(cmd.Flags(), "files, directories or URLs with the manifests of the objects to delete; - is standard input")
	o.addFlags(cmd)
	cmd.AddCommand(
		newKind(s, "dataset", v1alpha1.DatasetKind, completion.Datasets(s)),
		newKind(s, "runtime", v1alpha1.JindoRuntimeKind, completion.Runtimes(s)),
	)
	return cmd
}

func newOptions(s *session.Session) *options {
	return &options{session: s, person: isTerminal}
}

func newKind(s *session.Session, noun, kind string, complete completion.Function) *cobra.Command {
	o := newOptions(s)
	cmd := &cobra.Command{
		Use:               noun + " NAME... | --all",
		Aliases:           []string{noun + "s"},
		Short:             "Delete " + kind + "s",
		Example:           "  " + s.Name + " delete " + noun + " hbase",
		ValidArgsFunction: complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.byName(cmd, kind, args) },
	}
	cmd.Flags().BoolVar(&o.all, "all", false, "all of the namespace")
	o.addFlags(cmd)
	return cmd
}

func (o *options) addFlags(cmd *cobra.Command) {
	const patience = 5 * time.Minute
	flags := cmd.Flags()
	flags.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&o.wait, "wait", true, "wait until it is gone")
	flags.DurationVar(&o.timeout, "timeout", patience, "how long --wait waits; then the exit code is 4")
	flags.StringVar(&o.dryRun, "dry-run", dryRunNone, "client: show what would go; server: ask the API server as well; nothing is deleted")
	flags.Lookup("dry-run").NoOptDefVal = dryRunClient
}

func (o *options) validate() error {
	switch {
	case !slices.Contains([]string{dryRunNone, dryRunClient, dryRunServer}, o.dryRun):
		return clierror.Usagef("--dry-run must be none, client or server, not %q", o.dryRun).WithTry("--dry-run=client")
	case o.timeout <= 0:
		return clierror.Usagef("--timeout must be above zero, not %v", o.timeout)
	}
	return nil
}

func (o *options) byName(cmd *cobra.Command, kind string, names []string) error {
	switch {
	case o.all && len(names) > 0:
		return clierror.Usagef("--all and names both say what to delete: leave one of them out")
	case !o.all && len(names) == 0:
		return clierror.Usagef("say which %s to delete, or --all", kind).WithTry("%s NAME", cmd.CommandPath())
	}
	if err := o.validate(); err != nil {
		return err
	}
	cluster, err := o.session.Cluster()
	if err != nil {
		return err
	}
	plan, err := o.plan(cmd.Context(), cluster, wanted{kind: kind, names: names, all: o.all})
	if err != nil {
		return err
	}
	return o.carryOut(cmd.Context(), cluster, plan)
}

// carryOut a plan that has been made.
func (o *options) carryOut(ctx context.Context, cluster *session.Cluster, p *plan) error {
	if len(p.targets) == 0 {
		o.session.Say("there is nothing to delete in namespace %q", cluster.Namespace)
		return nil
	}
	p.show(o.session)
	if o.dryRun == dryRunNone && !o.yes {
		if err := o.confirm(ctx, p); err != nil {
			return err
		}
	}
	for _, t := range p.targets {
		if err := o.remove(ctx, cluster, t); err != nil {
			return err
		}
	}
	if o.dryRun != dryRunNone || !o.wait {
		return nil
	}
	return o.await(ctx, cluster, p.targets)
}

// remove one object: the very one that was shown.
func (o *options) remove(ctx context.Context, cluster *session.Cluster, t *target) error {
	how := ""
	if o.dryRun != dryRunClient {
		uid := t.object.GetUID()
		options := []client.DeleteOption{client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground)}
		if o.dryRun == dryRunServer {
			options = append(options, client.DryRunAll)
		}
		if err := client.IgnoreNotFound(cluster.Delete(ctx, t.object, options...)); err != nil {
			return apierror.Explain(o.session, cluster, "deleting "+t.describe(), err)
		}
	}
	switch o.dryRun {
	case dryRunClient:
		how = " (dry run)"
	case dryRunServer:
		how = " (server dry run)"
	}
	if _, err := fmt.Fprintf(o.session.Streams.Out, "%s %q deleted%s\n", t.resource, t.object.GetName(), how); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// confirm asks a person to type the name, or how many there are.
func (o *options) confirm(ctx context.Context, p *plan) error {
	answer, what := p.targets[0].object.GetName(), "the name"
	if len(p.targets) > 1 {
		answer, what = strconv.Itoa(len(p.targets)), "how many objects go"
	}
	if !o.person(o.session.Streams.In) {
		return clierror.Usagef("nothing was deleted: nobody can be asked, for standard input is no terminal").WithTry("add --yes")
	}
	line, err := o.session.Prompt(ctx, fmt.Sprintf("Type %s (%s) to delete: ", what, answer))
	switch {
	case errors.Is(err, io.EOF):
		return clierror.Generalf("nothing was deleted: standard input ended")
	case err != nil:
		return clierror.Generalf("nothing was deleted: %w", err)
	case line != answer:
		return clierror.Generalf("nothing was deleted: %q is not %q", line, answer)
	}
	return nil
}

func isTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
