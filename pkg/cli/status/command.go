package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// untilHealthy is the only value of --until.
const untilHealthy = "healthy"

type options struct {
	session       *session.Session
	format        *output.Format
	allNamespaces bool
	noHeaders     bool
	exitCode      bool
	watch         bool
	interval      time.Duration
	until         string
	timeout       time.Duration
	selector      string
	sortBy        string
}

// New returns the status command.
func New(s *session.Session) *cobra.Command {
	o := &options{session: s, format: output.New(output.Table, output.Wide)}
	cmd := &cobra.Command{
		Use:   "status [NAME | TYPE/NAME]",
		Short: "Show the health of a dataset and its runtime",
		Long: `Show the health of a dataset and its runtime: one as a dashboard, several as a
row each.

In a cluster the figures come from the status of the objects, with a few
requests however many pods there are. With -o wide every master and worker is
queried as well, through the API server; with --local that is always so. Members
are queried in parallel, and those that do not respond within --request-timeout
are listed at the end.`,
		Example: "  " + s.Name + " status hbase\n  " + s.Name + " status dataset/hbase -o wide\n  " +
			s.Name + " status hbase --watch --until=healthy --timeout=5m",
		Args: session.AtMost(1, "a dataset or runtime"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	o.format.AddFlag(flags)
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "list across all namespaces")
	flags.BoolVar(&o.noHeaders, "no-headers", false, "omit the header")
	flags.BoolVar(&o.exitCode, "exit-code", false, "exit with code 3 unless everything is healthy")
	flags.BoolVarP(&o.watch, "watch", "w", false, "redraw when something changes")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "time between two updates of --watch where changes cannot be watched, or members are queried")
	flags.StringVarP(&o.selector, "selector", "l", "", "label selector, such as team=vision")
	flags.StringVar(&o.sortBy, "sort-by", "", "order of the rows: "+strings.Join(sortKeys(), ", "))
	s.AddLocalFlag(flags)
	flags.StringVar(&o.until, "until", "", "end --watch when everything is: healthy")
	flags.DurationVar(&o.timeout, "timeout", 0, "how long --until waits, 0 is without limit; then the exit code is 4")
	return cmd
}

func (o *options) run(ctx context.Context, args []string) error {
	if err := o.validate(args); err != nil {
		return err
	}
	source, err := o.session.Source(o.session)
	if err != nil {
		return err
	}
	if err := o.prepare(source); err != nil {
		return err
	}
	collect := func(ctx context.Context) (snapshot, error) {
		reports, one, err := o.collect(ctx, source, args)
		return snapshot{reports, one}, err
	}
	if o.watch {
		return o.newWatcher(source, collect).run(ctx, args)
	}
	found, err := collect(ctx)
	if err != nil {
		return err
	}
	err = o.print(o.session.Streams.Out, found.reports, found.one)
	if err == nil && o.exitCode && !allHealthy(found.reports) {
		return &clierror.Error{Code: clierror.Unhealthy, Err: errors.New("not healthy"), Silent: true}
	}
	return err
}

func (o *options) validate(args []string) error {
	if err := o.format.Validate(); err != nil {
		return err
	}
	switch {
	case o.allNamespaces && len(args) > 0:
		return clierror.Usagef("--all-namespaces cannot be used with the name %s", args[0]).
			WithTry("%s status %s -n NAMESPACE%s", o.session.Name, args[0], o.localFlag())
	case o.watch && !o.format.HumanReadable():
		return clierror.Usagef("--watch prints screens only: omit -o, or use -o wide")
	case o.until != "" && o.until != untilHealthy:
		return clierror.Usagef("invalid --until %q: must be healthy", o.until)
	case o.until != "" && !o.watch:
		return clierror.Usagef("--until needs --watch")
	case o.timeout != 0 && o.until == "":
		return clierror.Usagef("--timeout needs --until").WithTry("%s status --watch --until=healthy --timeout=%v", o.session.Name, o.timeout)
	case o.timeout < 0:
		return clierror.Usagef("invalid --timeout %v: must not be negative", o.timeout)
	case o.sortBy != "" && !slices.Contains(sortKeys(), o.sortBy):
		return clierror.Usagef("invalid --sort-by %q: must be one of %s", o.sortBy, strings.Join(sortKeys(), ", "))
	case o.interval <= 0:
		return clierror.Usagef("invalid --interval %v: must be above zero", o.interval)
	}
	return nil
}

// selectorSource is a source that can be restricted to labels.
type selectorSource interface{ Select(selector string) error }

// memberSource is a source that queries the members only if told to.
type memberSource interface{ QueryMembers() }

func (o *options) prepare(source report.Source) error {
	if o.selector != "" {
		s, ok := source.(selectorSource)
		if !ok {
			return clierror.Usagef("--selector cannot be used with --local: local runtimes have no labels")
		}
		if err := s.Select(o.selector); err != nil {
			return err
		}
	}
	if m, ok := source.(memberSource); ok && o.format.Is(output.Wide) {
		m.QueryMembers()
	}
	return nil
}

// namespace returns the namespace to list; "" is all of them.
func (o *options) namespace() string {
	if o.allNamespaces {
		return ""
	}
	return o.session.InNamespace()
}

// collect returns the report that was named, or all of the namespace. One is true
// when the report is to be printed as a dashboard.
func (o *options) collect(ctx context.Context, source report.Source, args []string) (reports []report.Runtime, one bool, err error) {
	if len(args) == 1 {
		r, err := o.session.Find(ctx, source, session.TrimType(args[0]))
		if err != nil {
			return nil, true, err
		}
		o.addNext(r)
		return []report.Runtime{*r}, true, nil
	}
	refs, err := source.Runtimes(ctx, o.namespace())
	if err != nil {
		return nil, false, err
	}
	collected := make([]*report.Runtime, len(refs))
	failed := make([]error, len(refs))
	var collecting sync.WaitGroup
	for i, ref := range refs {
		collecting.Go(func() { collected[i], failed[i] = source.Collect(ctx, ref) })
	}
	collecting.Wait()
	for i, ref := range refs {
		if failed[i] != nil {
			// One runtime that cannot be read does not hide the others.
			collected[i] = report.New(ref, time.Now())
			collected[i].Health = report.Unavailable
			collected[i].Failures = []report.Failure{{Target: ref.String(), Error: failed[i].Error()}}
			collected[i].Targets = 1
		}
		o.addNext(collected[i])
		reports = append(reports, *collected[i])
	}
	return reports, len(reports) == 1 && !o.allNamespaces, nil
}

func (o *options) print(w io.Writer, reports []report.Runtime, one bool) error {
	if o.format.HumanReadable() {
		wide := o.format.Is(output.Wide)
		if one {
			return Draw(w, o.session.Screen(), &reports[0], wide)
		}
		if len(reports) == 0 {
			o.session.Say("%s", o.nothing())
			return nil
		}
		o.order(reports)
		return DrawRows(w, o.session.Screen(), reports, RowOptions{Wide: wide, NoHeaders: o.noHeaders, Namespaces: o.allNamespaces})
	}
	names := make([]string, len(reports))
	for i, r := range reports {
		names[i] = "jindoruntime." + v1alpha1.Group + "/" + r.Name
		if r.Unserved {
			names[i] = "dataset." + v1alpha1.Group + "/" + r.Name
		}
	}
	if one {
		return o.format.Print(w, &reports[0], names...)
	}
	return o.format.Print(w, report.NewList(reports), names...)
}

func allHealthy(reports []report.Runtime) bool {
	for _, r := range reports {
		if r.Health != report.Healthy {
			return false
		}
	}
	return true
}

// timedOut returns the error of a watch that ended before everything was healthy.
func (o *options) timedOut(args []string, found snapshot) error {
	return &clierror.Error{Code: clierror.TimedOut, Err: fmt.Errorf("not healthy after %v: %s", o.timeout, o.untilError(args, found.reports))}
}
