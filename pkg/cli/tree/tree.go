// Package tree implements the tree command, which prints everything that belongs
// to a Dataset, from its runtime down to the pods that read it, with the state and
// the reason of each object. The number of requests does not depend on the size of
// the tree.
package tree

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

type options struct {
	session       *session.Session
	format        *output.Format
	noHeaders     bool
	allNamespaces bool
	watch         bool
	interval      time.Duration
}

// New returns the tree command.
func New(s *session.Session) *cobra.Command {
	o := &options{session: s, format: output.New(output.Table, output.Wide)}
	cmd := &cobra.Command{
		Use:   "tree DATASET | dataset/NAME | --all-namespaces",
		Short: "Show everything that belongs to a Dataset",
		Long: `Show everything that belongs to a Dataset: its runtime with its workloads, pods,
volumes and configuration, its claim, and the pods that mount it. The name of the
runtime is accepted as well.`,
		Example:           "  " + s.Name + " tree hbase\n  " + s.Name + " tree dataset/hbase --watch\n  " + s.Name + " tree -A",
		Args:              o.validateArgs,
		ValidArgsFunction: completion.Datasets(s),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	o.format.AddFlag(flags)
	flags.BoolVar(&o.noHeaders, "no-headers", false, "omit the header")
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "show the Datasets of all namespaces")
	flags.BoolVarP(&o.watch, "watch", "w", false, "print the tree again when it has changed")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "time between two updates of --watch")
	return cmd
}

func (o *options) validateArgs(cmd *cobra.Command, args []string) error {
	if o.allNamespaces {
		if len(args) > 0 {
			return clierror.Usagef("--all-namespaces cannot be used with the name %s", args[0]).
				WithTry("%s %s -n NAMESPACE", cmd.CommandPath(), args[0])
		}
		return nil
	}
	return session.Exactly(1, "a dataset")(cmd, args)
}

func (o *options) run(ctx context.Context, args []string) error {
	o.format.NoHeaders = o.noHeaders
	if err := o.format.Validate(); err != nil {
		return err
	}
	switch {
	case o.watch && !o.format.HumanReadable():
		return clierror.Usagef("--watch prints screens only: omit -o, or use -o wide")
	case o.interval <= 0:
		return clierror.Usagef("invalid --interval %v: must be above zero", o.interval)
	}
	cluster, err := o.session.Cluster()
	if err != nil {
		return err
	}
	name := ""
	if len(args) > 0 {
		name = session.TrimType(args[0])
	}
	if o.watch {
		return o.follow(ctx, cluster, name)
	}
	reports, err := o.collect(ctx, cluster, name)
	if err != nil {
		return err
	}
	if err := o.print(o.session.Streams.Out, reports, name != ""); err != nil {
		return err
	}
	if len(reports) > 0 {
		for _, sentence := range reports[0].Failures {
			o.session.Say("warning: %s", sentence)
		}
	}
	return nil
}

// collect returns the tree of the Dataset of that name; without a name those of
// all Datasets in all namespaces.
func (o *options) collect(ctx context.Context, cluster *session.Cluster, name string) ([]Report, error) {
	namespace := cluster.Namespace
	if name == "" {
		namespace = ""
	}
	in := inventory.Read(ctx, o.session, cluster, namespace, inventory.Everything()...)
	if name != "" {
		dataset := find(in, cluster.Namespace, name)
		if dataset == nil {
			return nil, o.missing(ctx, cluster, name)
		}
		return []Report{*BuildTree(in, dataset)}, nil
	}
	reports := []Report{}
	for i := range in.Datasets {
		reports = append(reports, *BuildTree(in, &in.Datasets[i]))
	}
	if len(reports) == 0 {
		if len(in.Failures) > 0 {
			return nil, clierror.Generalf("%s", in.Failures[0])
		}
		o.session.Say("no datasets found")
	}
	return reports, nil
}

func (o *options) print(w io.Writer, reports []Report, one bool) error {
	if !o.format.HumanReadable() {
		names := make([]string, len(reports))
		for i, r := range reports {
			names[i] = "dataset." + v1alpha1.Group + "/" + r.Name
		}
		if one {
			return o.format.Print(w, &reports[0], names...)
		}
		return o.format.Print(w, newList(reports), names...)
	}
	for i := range reports {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return fmt.Errorf("write the tree: %w", err)
			}
		}
		options := Options{Wide: o.format.Is(output.Wide), NoHeaders: o.noHeaders, Namespaces: o.allNamespaces}
		if err := Draw(w, o.session.Screen(), &reports[i], time.Now(), options); err != nil {
			return err
		}
	}
	return nil
}

func newList(reports []Report) *ReportList {
	return &ReportList{TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: ListKind}, Items: reports}
}

// follow prints the trees every interval until the context ends. On a terminal a
// screen replaces the previous one; elsewhere a screen that has not changed is not
// printed again.
func (o *options) follow(ctx context.Context, cluster *session.Cluster, name string) error {
	const home = "\x1b[H\x1b[J"
	last := ""
	for {
		reports, err := o.collect(ctx, cluster, name)
		if ctx.Err() != nil {
			return nil // interrupted by the user
		}
		if err != nil {
			return err
		}
		var drawn bytes.Buffer
		if err := o.print(&drawn, reports, name != ""); err != nil {
			return err
		}
		if text := drawn.String(); text != last {
			last = text
			if o.session.Screen().TTY {
				text = home + text
			}
			if _, err := io.WriteString(o.session.Streams.Out, text); err != nil {
				return fmt.Errorf("write the tree: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.interval):
		}
	}
}

// find returns the Dataset of that name, or that of the runtime of that name.
func find(in *inventory.Inventory, namespace, name string) *v1alpha1.Dataset {
	if d := in.Dataset(namespace, name); d != nil {
		return d
	}
	if r := in.Runtime(namespace, name); r != nil {
		return in.Dataset(namespace, inventory.DatasetOf(r))
	}
	return nil
}

// missing returns the error about a Dataset that was not found, with the namespace
// that has one of the name.
func (o *options) missing(ctx context.Context, cluster *session.Cluster, name string) error {
	d := &v1alpha1.Dataset{}
	if err := cluster.Get(ctx, client.ObjectKey{Namespace: cluster.Namespace, Name: name}, d); client.IgnoreNotFound(err) != nil {
		return apierror.Explain(o.session, cluster, "reading Dataset "+cluster.Namespace+"/"+name, err)
	}
	failed := clierror.Generalf("dataset %q not found in namespace %q", name, cluster.Namespace)
	everywhere := inventory.Read(ctx, o.session, cluster, "", inventory.Datasets)
	for _, d := range everywhere.Datasets {
		if d.Name == name {
			return failed.WithHint("it is in namespace %q: add -n %s", d.Namespace, d.Namespace)
		}
	}
	return failed.WithTry("%s get datasets -A", o.session.Name)
}

// oneLine joins the lines of a text.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
