// Package get implements the get command: tables of Datasets, runtimes, loads, the
// pods that mount Datasets, and workers. In the machine-readable formats Datasets,
// runtimes and loads are the objects of the API server, the others are reports.
package get

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

type options struct {
	session       *session.Session
	format        *output.Format
	allNamespaces bool
	selector      string
	watch         bool
	sortBy        string
	noHeaders     bool

	labels labels.Selector
	// now returns the time from which ages are counted.
	now func() time.Time
}

// item is a row of a table and the object it is made from.
type item struct {
	object    runtime.Object
	namespace string
	name      string
	// resource is what -o name prints.
	resource string
	cells    []string
}

// listing holds the items of one resource type.
type listing struct {
	columns []printer.Column
	items   []item
	// list is an empty list of the items' type; nil for the types of the API.
	list runtime.Object
	// failures are sentences about what could not be read.
	failures []string
	// missing are the names that were not found.
	missing []string
}

// New returns the get command.
func New(s *session.Session) *cobra.Command {
	o := &options{session: s, format: output.New(output.Table, output.Wide), now: time.Now}
	cmd := &cobra.Command{
		Use:   "get TYPE[,TYPE...] [NAME...] | TYPE/NAME...",
		Short: "List Datasets, runtimes, loads, mounts or workers",
		Long: `List Datasets, runtimes, loads, mounts or workers.

TYPE is datasets, runtimes, loads, mounts or workers. mounts are the pods that
mount Datasets, through a sidecar of their own or through the node's FUSE server.
workers are the pods that cache. With -o json Datasets, runtimes and loads are
printed as the API server returns them.

Names that do not exist are reported after those that do, with exit code 1.`,
		Example: "  " + s.Name + " get datasets -A\n  " + s.Name + " get datasets,runtimes\n  " +
			s.Name + " get dataset/hbase runtime/hadoop\n  " + s.Name + " get mounts hbase -o wide",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return clierror.Usagef("a resource type is required: %s", strings.Join(nouns(), ", ")).WithTry("%s datasets", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: o.complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	o.format.AddFlag(flags)
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "list across all namespaces")
	flags.StringVarP(&o.selector, "selector", "l", "", "label selector: key=value,…")
	flags.BoolVarP(&o.watch, "watch", "w", false, "after listing, print changes")
	flags.StringVar(&o.sortBy, "sort-by", "", "sort by a field: .metadata.creationTimestamp")
	flags.BoolVar(&o.noHeaders, "no-headers", false, "omit the header")
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
	requests, err := parseArguments(cmd.CommandPath(), args)
	if err != nil {
		return err
	}
	if err := o.validate(requests); err != nil {
		return err
	}
	cluster, err := o.session.Cluster()
	if err != nil {
		return err
	}
	q := query{options: o, cluster: cluster, namespace: cluster.Namespace}
	if o.allNamespaces {
		q.namespace = ""
	}
	if o.watch {
		return q.watchOne(cmd.Context(), requests[0])
	}
	return q.listAll(cmd.Context(), requests)
}

func (o *options) validate(requests []request) error {
	o.format.NoHeaders = o.noHeaders
	if err := o.format.Validate(); err != nil {
		return err
	}
	var err error
	if o.labels, err = labels.Parse(o.selector); err != nil {
		return clierror.Usagef("invalid --selector %q: %w", o.selector, err).WithTry("-l key=value")
	}
	if o.sortBy != "" {
		if _, err := output.ParsePath(o.sortBy); err != nil {
			return clierror.Usagef("invalid --sort-by %q: %w", o.sortBy, err).WithTry("--sort-by=.metadata.name")
		}
	}
	names := requests[0].names
	switch {
	case o.allNamespaces && len(names) > 0:
		return clierror.Usagef("--all-namespaces cannot be used with the name %s", names[0]).
			WithTry("%s get %s %s -n NAMESPACE", o.session.Name, requests[0].kind.noun, names[0])
	case o.selector != "" && len(names) > 0:
		return clierror.Usagef("--selector cannot be used with the name %s: omit one of them", names[0])
	case o.watch && len(requests) > 1:
		return clierror.Usagef("--watch supports one resource type").WithTry("%s get %s --watch", o.session.Name, requests[0].kind.noun)
	}
	return nil
}

// query is one run of the command against a cluster.
type query struct {
	*options
	cluster   *session.Cluster
	namespace string
	names     []string
}

// listAll lists and prints every requested type.
func (q *query) listAll(ctx context.Context, requests []request) error {
	listings := make([]*listing, len(requests))
	for i, r := range requests {
		one := *q
		one.names = r.names
		found, err := one.list(ctx, r.kind)
		if err != nil {
			return err
		}
		listings[i] = found
	}
	if err := q.printAll(requests, listings); err != nil {
		return err
	}
	for _, found := range listings {
		for _, sentence := range found.failures {
			q.session.Say("warning: %s", sentence)
		}
	}
	return q.notFound(ctx, requests, listings)
}

// list lists one type, restricted to the names of the query and in the order of
// --sort-by.
func (q *query) list(ctx context.Context, k *kind) (*listing, error) {
	found, err := k.list(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, name := range q.names {
		if !slices.ContainsFunc(found.items, func(i item) bool { return k.named(i, name) }) {
			found.missing = append(found.missing, name)
		}
	}
	q.restrict(k, found)
	if q.sortBy != "" {
		if err := sortItems(found.items, q.sortBy); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// restrict drops the items that were not named, if any name was given.
func (q *query) restrict(k *kind, found *listing) {
	if len(q.names) == 0 {
		return
	}
	found.items = slices.DeleteFunc(found.items, func(i item) bool {
		return !slices.ContainsFunc(q.names, func(name string) bool { return k.named(i, name) })
	})
}

// notFound returns the error about names that were not found, or nil.
func (q *query) notFound(ctx context.Context, requests []request, listings []*listing) error {
	var failed *clierror.Error
	var others []string
	for i, found := range listings {
		for _, name := range found.missing {
			if failed == nil {
				failed = q.missing(ctx, requests[i].kind, name)
				continue
			}
			others = append(others, fmt.Sprintf("%s %q not found in namespace %q", requests[i].kind.singular, name, q.namespace))
		}
	}
	if failed == nil {
		return nil
	}
	if len(others) > 0 {
		failed.Err = errors.New(strings.Join(append([]string{failed.Err.Error()}, others...), "; "))
	}
	return failed
}

// missing returns the error about one name, with the namespace that has it.
func (q *query) missing(ctx context.Context, k *kind, name string) *clierror.Error {
	failed := clierror.Generalf("%s %q not found in namespace %q", k.singular, name, q.namespace)
	elsewhere := *q
	elsewhere.namespace, elsewhere.names = "", nil
	found, err := k.list(ctx, &elsewhere)
	if err != nil {
		return failed
	}
	for _, i := range found.items {
		if k.named(i, name) {
			return failed.WithHint("it is in namespace %q: add -n %s", i.namespace, i.namespace)
		}
	}
	return failed.WithTry("%s get %s -A", q.session.Name, k.noun)
}

// printAll prints the listings: a table each, or one list of all objects.
func (q *query) printAll(requests []request, listings []*listing) error {
	if !q.format.HumanReadable() {
		names := requests[0].names
		one := len(requests) == 1 && len(names) == 1
		return q.print(q.session.Streams.Out, merge(listings), one)
	}
	printed := 0
	for i, found := range listings {
		if len(found.items) == 0 {
			if len(found.missing) == 0 {
				q.none(requests[i].kind)
			}
			continue
		}
		if printed++; printed > 1 {
			if err := printLine(q.session.Streams.Out, ""); err != nil {
				return err
			}
		}
		if err := q.print(q.session.Streams.Out, found, false); err != nil {
			return err
		}
	}
	return nil
}

// merge joins listings of several types.
func merge(listings []*listing) *listing {
	if len(listings) == 1 {
		return listings[0]
	}
	all := &listing{}
	for _, found := range listings {
		all.items = append(all.items, found.items...)
	}
	return all
}

func (q *query) none(k *kind) {
	if q.namespace == "" {
		q.session.Say("no %s found", k.noun)
		return
	}
	q.session.Say("no %s found in namespace %q", k.noun, q.namespace)
}

// print prints a listing. In a machine-readable format one item is printed as
// itself and not as a list.
func (q *query) print(w io.Writer, found *listing, one bool) error {
	if q.format.HumanReadable() {
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
	list, err := toList(found)
	if err != nil {
		return err
	}
	if one && len(found.items) == 0 {
		return nil // the error about the missing name says it
	}
	return q.format.Print(w, list, names...)
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

// screen returns the screen that marks are drawn for.
func (o *options) screen() iostreams.Screen { return o.session.Screen() }

func printLine(w io.Writer, text string) error {
	if _, err := fmt.Fprintln(w, text); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
