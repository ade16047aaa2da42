// Package tree is the tree command: everything that belongs to a Dataset, from
// its runtime down to the pods that read it, each with how it is and why. It
// takes the same number of requests however large the tree is.
package tree

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/printer"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/inventory"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

type options struct {
	session   *session.Session
	format    *output.Format
	noHeaders bool
}

// New makes the tree command.
func New(s *session.Session) *cobra.Command {
	o := &options{session: s, format: output.New(output.Table, output.Wide)}
	cmd := &cobra.Command{
		Use:   "tree DATASET",
		Short: "Show everything that belongs to a Dataset",
		Long: `Show everything that belongs to a Dataset: its runtime with its workloads, pods,
volumes and configuration, its claim, and the pods that use it.`,
		Example:           "  " + s.Name + " tree hbase",
		Args:              session.Exactly(1, "a dataset"),
		ValidArgsFunction: completion.Datasets(s),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	o.format.AddFlag(cmd.Flags())
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "leave the titles out")
	return cmd
}

func (o *options) run(ctx context.Context, name string) error {
	if err := o.format.Validate(); err != nil {
		return err
	}
	cluster, err := o.session.Cluster()
	if err != nil {
		return err
	}
	in := inventory.Read(ctx, o.session, cluster, cluster.Namespace, inventory.Everything()...)
	dataset := find(in, cluster.Namespace, name)
	if dataset == nil {
		return o.missing(ctx, cluster, name)
	}
	r := Grow(in, dataset)
	if !o.format.ForPeople() {
		return o.format.Print(o.session.Streams.Out, r, "dataset."+v1alpha1.Group+"/"+name)
	}
	if err := Draw(o.session.Streams.Out, o.session.Screen(), r, time.Now(), Options{Wide: o.format.Is(output.Wide), NoHeaders: o.noHeaders}); err != nil {
		return err
	}
	for _, sentence := range r.Failures {
		o.session.Say("warning: %s", sentence)
	}
	return nil
}

// find a Dataset by its name, or by that of its runtime.
func find(in *inventory.Inventory, namespace, name string) *v1alpha1.Dataset {
	if d := in.Dataset(namespace, name); d != nil {
		return d
	}
	if r := in.Runtime(namespace, name); r != nil {
		return in.Dataset(namespace, inventory.DatasetOf(r))
	}
	return nil
}

// missing says why there is nothing to show, and where else it may be.
func (o *options) missing(ctx context.Context, cluster *session.Cluster, name string) error {
	d := &v1alpha1.Dataset{}
	if err := cluster.Get(ctx, client.ObjectKey{Namespace: cluster.Namespace, Name: name}, d); client.IgnoreNotFound(err) != nil {
		return apierror.Explain(o.session, cluster, "reading Dataset "+cluster.Namespace+"/"+name, err)
	}
	failed := clierror.Generalf("no dataset %q in namespace %q", name, cluster.Namespace)
	everywhere := inventory.Read(ctx, o.session, cluster, "", inventory.Datasets)
	for _, d := range everywhere.Datasets {
		if d.Name == name {
			return failed.WithHint("it is in %q: add -n %s", d.Namespace, d.Namespace)
		}
	}
	return failed.WithTry("%s get datasets -A", o.session.Name)
}

// Options of Draw.
type Options struct {
	Wide, NoHeaders bool
}

// Draw the tree. Reasons are sentences, and below it in full; with Wide they are
// beside what they are about.
func Draw(w io.Writer, screen iostreams.Screen, r *Report, now time.Time, o Options) error {
	t := printer.Table{Wide: o.Wide, NoHeaders: o.NoHeaders, Columns: []printer.Column{
		{Title: "OBJECT"}, {Title: "STATE"}, {Title: "NODE", Drop: 1}, {Title: "AGE", Right: true, Drop: 2}, {Title: "REASON", Wide: true},
	}}
	grow(&t, screen, r.Root, "", "", now)
	if err := t.Write(w, screen); err != nil {
		return err
	}
	if o.Wide {
		return nil
	}
	return explain(w, screen, r.Root)
}

// explain what is not as it should be.
func explain(w io.Writer, screen iostreams.Screen, n Node) error {
	if n.Health != health.Ready && n.Reason != "" {
		if _, err := fmt.Fprintf(w, "%s %s/%s: %s\n", mark(screen, n), n.Kind, n.Name, flat(n.Reason)); err != nil {
			return fmt.Errorf("writing the tree: %w", err)
		}
	}
	for _, child := range n.Children {
		if err := explain(w, screen, child); err != nil {
			return err
		}
	}
	return nil
}

func mark(screen iostreams.Screen, n Node) string {
	return screen.Mark(map[health.Level]iostreams.Mark{health.Ready: iostreams.Good, health.Pending: iostreams.Warn, health.Failed: iostreams.Bad}[n.Health])
}

// flat is a sentence on one line.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

func grow(t *printer.Table, screen iostreams.Screen, n Node, first, rest string, now time.Time) {
	age := printer.None
	if n.Created != nil && !n.Created.IsZero() {
		age = printer.Age(n.Created.Time, now)
	}
	place := n.Node
	if place == "" {
		place = printer.None
	}
	state := mark(screen, n)
	if n.State != "" {
		state += " " + n.State
	}
	t.Add(first+n.Kind+"/"+n.Name, state, place, age, flat(n.Reason))
	branch, last, through, blank := "├─ ", "└─ ", "│  ", "   "
	if !screen.Unicode {
		branch, last, through = "|- ", "`- ", "|  "
	}
	for i, child := range n.Children {
		if i == len(n.Children)-1 {
			grow(t, screen, child, rest+last, rest+blank, now)
			continue
		}
		grow(t, screen, child, rest+branch, rest+through, now)
	}
}
