// Package get is the get command: tables of Datasets, runtimes, loads, the pods
// that mount Datasets, and workers. Datasets, runtimes and loads are printed for
// machines as the API server has them, the others as reports.
package get

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/printer"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

type options struct {
	session    *session.Session
	format     *output.Format
	everywhere bool
	selector   string
	watch      bool
	sortBy     string
	noHeaders  bool

	labels labels.Selector
	custom *customColumns
	// now is the time that ages are told by.
	now func() time.Time
}

// item is a row of a table, and what machines get of it.
type item struct {
	object    runtime.Object
	namespace string
	name      string
	// resource as -o name has it.
	resource string
	cells    []string
}

// listing is what there is of one kind.
type listing struct {
	columns []printer.Column
	items   []item
	// list of all items for machines.
	list runtime.Object
	// failures are sentences about what could not be asked.
	failures []string
}

// New makes the get command.
func New(s *session.Session) *cobra.Command {
	o := &options{session: s, format: output.New(output.Table, output.Wide), now: time.Now}
	cmd := &cobra.Command{
		Use:   "get (datasets|runtimes|loads|mounts|workers) [NAME...]",
		Short: "List Datasets, runtimes, loads, mounts or workers",
		Long: `List Datasets, runtimes, loads, mounts or workers.

mounts are the pods that mount Datasets: through a sidecar of their own, or
through the node's. workers are the pods that cache. With -o json Datasets,
runtimes and loads are as the API server has them.`,
		Example: "  " + s.Name + " get datasets -A\n  " + s.Name + " get mounts hbase -o wide",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return clierror.Usagef("say what to get: %s", strings.Join(nouns(), ", ")).WithTry("%s datasets", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: o.complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	o.format.AddFlag(flags)
	flags.Lookup("output").Usage += "|custom-columns=TITLE:.path,…"
	flags.BoolVarP(&o.everywhere, "all-namespaces", "A", false, "of all namespaces")
	flags.StringVarP(&o.selector, "selector", "l", "", "only those with these labels: key=value,…")
	flags.BoolVarP(&o.watch, "watch", "w", false, "go on with what changes")
	flags.StringVar(&o.sortBy, "sort-by", "", "sort by a field: .metadata.creationTimestamp")
	flags.BoolVar(&o.noHeaders, "no-headers", false, "leave the titles out")
	return cmd
}

func (o *options) complete(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completion.Words(nouns()...)(cmd, args, typed)
	}
	k := kindOf(args[0])
	if k == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return k.complete(o.session)(cmd, args[1:], typed)
}

func (o *options) run(cmd *cobra.Command, args []string) error {
	k := kindOf(args[0])
	if k == nil {
		return clierror.Usagef("%q is none of %s", args[0], strings.Join(nouns(), ", ")).WithTry("%s datasets", cmd.CommandPath())
	}
	if err := o.validate(cmd, args[1:]); err != nil {
		return err
	}
	cluster, err := o.session.Cluster()
	if err != nil {
		return err
	}
	q := query{options: o, cluster: cluster, namespace: cluster.Namespace, names: args[1:]}
	if o.everywhere {
		q.namespace = ""
	}
	found, err := q.look(cmd.Context(), k)
	if err != nil {
		return err
	}
	if o.watch {
		return q.follow(cmd.Context(), k, found)
	}
	if len(found.items) == 0 && o.format.ForPeople() && o.custom == nil {
		o.none(k, q.namespace)
	} else if err := q.print(o.session.Streams.Out, found, len(args) == 2); err != nil {
		return err
	}
	for _, sentence := range found.failures {
		o.session.Say("warning: %s", sentence)
	}
	return nil
}

func (o *options) none(k *kind, namespace string) {
	if namespace == "" {
		o.session.Say("there are no %s in any namespace", k.noun)
		return
	}
	o.session.Say("there are no %s in namespace %q", k.noun, namespace)
}

func (o *options) validate(cmd *cobra.Command, names []string) error {
	var err error
	if text, found := strings.CutPrefix(cmd.Flags().Lookup("output").Value.String(), "custom-columns="); found {
		if o.custom, err = parseColumns(text); err != nil {
			return err
		}
	} else if err := o.format.Validate(); err != nil {
		return err
	}
	if o.labels, err = labels.Parse(o.selector); err != nil {
		return clierror.Usagef("--selector %q is no selector: %w", o.selector, err).WithTry("-l key=value")
	}
	if o.sortBy != "" {
		if _, err := path(o.sortBy); err != nil {
			return clierror.Usagef("--sort-by %q is no path: %w", o.sortBy, err).WithTry("--sort-by=.metadata.name")
		}
	}
	switch {
	case o.everywhere && len(names) > 0:
		return clierror.Usagef("--all-namespaces lists everything: leave it or the name out").WithTry("-n NAMESPACE %s", names[0])
	case o.selector != "" && len(names) > 0:
		return clierror.Usagef("--selector and names both say what to list: leave one of them out")
	}
	return nil
}

// query of one run.
type query struct {
	*options
	cluster   *session.Cluster
	namespace string
	names     []string
}

// look once, at what was asked for, in the order asked for.
func (q *query) look(ctx context.Context, k *kind) (*listing, error) {
	found, err := k.list(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, name := range q.names {
		if !slices.ContainsFunc(found.items, func(i item) bool { return k.named(i, name) }) {
			return nil, q.missing(ctx, k, name)
		}
	}
	if len(q.names) > 0 {
		found.items = slices.DeleteFunc(found.items, func(i item) bool {
			return !slices.ContainsFunc(q.names, func(name string) bool { return k.named(i, name) })
		})
	}
	if q.sortBy != "" {
		if err := sortItems(found.items, q.sortBy); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// missing says where else there is something of the name.
func (q *query) missing(ctx context.Context, k *kind, name string) error {
	failed := clierror.Generalf("no %s %q in namespace %q", k.singular, name, q.namespace)
	elsewhere := *q
	elsewhere.namespace, elsewhere.names = "", nil
	found, err := k.list(ctx, &elsewhere)
	if err != nil {
		return failed
	}
	for _, i := range found.items {
		if k.named(i, name) {
			return failed.WithHint("it is in %q: add -n %s", i.namespace, i.namespace)
		}
	}
	return failed.WithTry("%s get %s -A", q.session.Name, k.noun)
}

// print the whole listing; one item alone is itself, not a list.
func (q *query) print(w io.Writer, found *listing, one bool) error {
	switch {
	case q.custom != nil:
		return q.custom.print(w, found.items, q.noHeaders)
	case q.format.ForPeople():
		t := q.table(found)
		return t.Write(w, q.session.Screen())
	}
	names := make([]string, len(found.items))
	for i, item := range found.items {
		names[i] = item.resource
	}
	if one && len(found.items) == 1 {
		return q.format.Print(w, found.items[0].object, names...)
	}
	return q.format.Print(w, withItems(found), names...)
}

func (q *query) table(found *listing) *printer.Table {
	t := &printer.Table{Columns: found.columns, NoHeaders: q.noHeaders, Wide: q.format.Is(output.Wide)}
	if q.namespace == "" {
		t.Columns = append([]printer.Column{{Title: "NAMESPACE"}}, t.Columns...)
	}
	for _, i := range found.items {
		cells := i.cells
		if q.namespace == "" {
			cells = append([]string{i.namespace}, cells...)
		}
		t.Add(cells...)
	}
	return t
}

// screen to draw marks for.
func (o *options) screen() iostreams.Screen { return o.session.Screen() }

func printLine(w io.Writer, text string) error {
	if _, err := fmt.Fprintln(w, text); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
