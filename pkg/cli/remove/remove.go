// Package remove implements the delete command. It prints what will be deleted and
// what is kept, prompts for confirmation, deletes exactly the objects it printed, and
// waits until they are deleted. Meanwhile it prints what blocks the deletion.
package remove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
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
	// isTerminal reports whether a user can be prompted on the stream.
	isTerminal func(io.Reader) bool
}

// New returns the delete command.
func New(s *session.Session) *cobra.Command {
	o := newOptions(s)
	cmd := &cobra.Command{
		Use:   "delete (dataset|runtime) NAME... | TYPE/NAME... | -f FILE",
		Short: "Delete Datasets and JindoRuntimes",
		Long: `Delete Datasets and JindoRuntimes.

What will be deleted and what is kept is printed first, and you are asked to type
the name; --yes skips the question. The objects in the bucket are never deleted.
A Dataset or runtime that pods mount serves them until they have terminated.`,
		Example: "  " + s.Name + " delete dataset hbase\n  " + s.Name + " delete dataset/hbase runtime/hadoop",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return o.byTypeAndName(cmd, args)
			}
			return o.fromFiles(cmd)
		},
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
	return &options{session: s, isTerminal: isTerminal}
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
	cmd.Flags().BoolVar(&o.all, "all", false, "delete all of the namespace")
	o.addFlags(cmd)
	return cmd
}

func (o *options) addFlags(cmd *cobra.Command) {
	const defaultTimeout = 5 * time.Minute
	flags := cmd.Flags()
	flags.BoolVarP(&o.yes, "yes", "y", false, "skip the confirmation")
	flags.BoolVar(&o.wait, "wait", true, "wait until the objects are deleted")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout, "how long --wait waits; then the exit code is 4")
	flags.StringVar(&o.dryRun, "dry-run", dryRunNone, "client: print what would be deleted; server: send the request to the API server as well; nothing is deleted")
	flags.Lookup("dry-run").NoOptDefVal = dryRunClient
}

func (o *options) validate() error {
	switch {
	case !slices.Contains([]string{dryRunNone, dryRunClient, dryRunServer}, o.dryRun):
		return clierror.Usagef("invalid --dry-run %q: want none, client or server", o.dryRun).WithTry("--dry-run=client")
	case o.timeout <= 0:
		return clierror.Usagef("invalid --timeout %v: must be above zero", o.timeout)
	}
	return nil
}

func (o *options) byName(cmd *cobra.Command, kind string, names []string) error {
	switch {
	case o.all && len(names) > 0:
		return clierror.Usagef("--all cannot be used with a name")
	case !o.all && len(names) == 0:
		return clierror.Usagef("the name of a %s or --all is required", kind).WithTry("%s NAME", cmd.CommandPath())
	}
	if err := o.validate(); err != nil {
		return err
	}
	cluster, err := o.session.Cluster()
	if err != nil {
		return err
	}
	plan, err := o.plan(cmd.Context(), cluster, selection{kind: kind, names: names, all: o.all})
	if err != nil {
		return err
	}
	return o.execute(cmd.Context(), cluster, plan)
}

// byTypeAndName deletes the objects that arguments of the form TYPE/NAME name.
func (o *options) byTypeAndName(cmd *cobra.Command, args []string) error {
	var selections []selection
	for _, arg := range args {
		word, name, found := strings.Cut(arg, "/")
		kind := kindOf(word)
		switch {
		case !found && kind == "":
			return clierror.Usagef("unknown resource type %q: want dataset or runtime", word).WithTry("%s dataset NAME", cmd.CommandPath())
		case !found || name == "" || !o.sources.IsEmpty():
			return clierror.Usagef("invalid argument %q: TYPE/NAME cannot be mixed with other arguments or -f", arg).WithTry("%s dataset/NAME", cmd.CommandPath())
		case kind == "":
			return clierror.Usagef("unknown resource type %q in %q: want dataset or runtime", word, arg).WithTry("%s dataset/NAME", cmd.CommandPath())
		}
		selections = append(selections, selection{kind: kind, names: []string{name}})
	}
	if err := o.validate(); err != nil {
		return err
	}
	cluster, err := o.session.Cluster()
	if err != nil {
		return err
	}
	plan, err := o.plan(cmd.Context(), cluster, selections...)
	if err != nil {
		return err
	}
	return o.execute(cmd.Context(), cluster, plan)
}

// kindOf returns the kind that a word names, as kubectl accepts it, or "".
func kindOf(word string) string {
	switch strings.ToLower(word) {
	case "dataset", "datasets", "ds", "dataset.data.fluid.io", "datasets.data.fluid.io":
		return v1alpha1.DatasetKind
	case "runtime", "runtimes", "jindo", "jindoruntime", "jindoruntimes", "jindoruntime.data.fluid.io", "jindoruntimes.data.fluid.io":
		return v1alpha1.JindoRuntimeKind
	}
	return ""
}

// execute prints a plan, prompts for confirmation, and deletes the objects.
func (o *options) execute(ctx context.Context, cluster *session.Cluster, p *plan) error {
	if len(p.targets) == 0 {
		o.session.Say("nothing to delete in namespace %q", cluster.Namespace)
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

// remove deletes one object. A precondition keeps it from deleting another object of
// the same name.
func (o *options) remove(ctx context.Context, cluster *session.Cluster, t *target) error {
	suffix := ""
	if o.dryRun != dryRunClient {
		options := []client.WriteOption{client.OnlyUID(t.object.GetUID()), client.PropagationPolicy(metav1.DeletePropagationBackground)}
		if o.dryRun == dryRunServer {
			options = append(options, client.DryRunAll)
		}
		if err := client.IgnoreNotFound(cluster.Delete(ctx, t.object, options...)); err != nil {
			return apierror.Explain(o.session, cluster, "deleting "+t.describe(), err)
		}
	}
	switch o.dryRun {
	case dryRunClient:
		suffix = " (dry run)"
	case dryRunServer:
		suffix = " (server dry run)"
	}
	if _, err := fmt.Fprintf(o.session.Streams.Out, "%s %q deleted%s\n", t.resource, t.object.GetName(), suffix); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// confirm prompts for the name of the object, or for the number of objects.
func (o *options) confirm(ctx context.Context, p *plan) error {
	want, what := p.targets[0].object.GetName(), "the name"
	if len(p.targets) > 1 {
		want, what = strconv.Itoa(len(p.targets)), "the number of objects"
	}
	if !o.isTerminal(o.session.Streams.In) {
		return clierror.Usagef("nothing was deleted: standard input is not a terminal, so there is no confirmation").WithHint("add --yes to delete without confirmation")
	}
	line, err := o.session.Prompt(ctx, fmt.Sprintf("Type %s (%s) to delete: ", what, want))
	switch {
	case errors.Is(err, io.EOF):
		return clierror.Generalf("nothing was deleted: standard input ended")
	case err != nil:
		return clierror.Generalf("nothing was deleted: %w", err)
	case line != want:
		return clierror.Generalf("nothing was deleted: got %q, want %q", line, want)
	}
	return nil
}

func isTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
