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

type options struct {
	session   *session.Session
	format    *output.Format
	everyone  bool
	noHeaders bool
	exitCode  bool
	watch     bool
	interval  time.Duration
	until     string
	selector  string
	sortBy    string
}

// New makes the status command.
func New(s *session.Session) *cobra.Command {
	o := &options{session: s, format: output.New(output.Table, output.Wide)}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show how a dataset and its runtime are",
		Long: `Show how a dataset and its runtime are: one as a dashboard, several as a row
each. Every member is asked about itself, all at once, and one that does not
answer within --request-timeout is named at the end.`,
		Args: session.AtMost(1, "a dataset or runtime"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	o.format.AddFlag(flags)
	flags.BoolVarP(&o.everyone, "all-namespaces", "A", false, "of all namespaces")
	flags.BoolVar(&o.noHeaders, "no-headers", false, "leave the titles out")
	flags.BoolVar(&o.exitCode, "exit-code", false, "exit with 3 unless everything is healthy")
	flags.BoolVarP(&o.watch, "watch", "w", false, "draw again as things change")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "time between two looks of --watch where changes cannot be watched, or members are asked")
	flags.StringVarP(&o.selector, "selector", "l", "", "only those with such labels, such as team=vision")
	flags.StringVar(&o.sortBy, "sort-by", "", "order of the rows: "+strings.Join(orders(), ", "))
	s.AddLocalFlag(flags)
	flags.StringVar(&o.until, "until", "", "end --watch when everything is: healthy")
	return cmd
}

func (o *options) run(ctx context.Context, args []string) error {
	if err := o.validate(); err != nil {
		return err
	}
	source, err := o.session.Source(o.session)
	if err != nil {
		return err
	}
	if err := o.prepare(source); err != nil {
		return err
	}
	look := func(ctx context.Context) (screenful, error) {
		reports, one, err := o.collect(ctx, source, args)
		return screenful{reports, one}, err
	}
	if o.watch {
		return o.newRedraw(source, look).run(ctx)
	}
	seen, err := look(ctx)
	if err != nil {
		return err
	}
	err = o.print(o.session.Streams.Out, seen.reports, seen.one)
	if err == nil && o.exitCode && !allHealthy(seen.reports) {
		return &clierror.Error{Code: clierror.Unhealthy, Err: errors.New("not healthy"), Silent: true}
	}
	return err
}

func (o *options) validate() error {
	if err := o.format.Validate(); err != nil {
		return err
	}
	switch {
	case o.watch && !o.format.ForPeople():
		return clierror.Usagef("--watch draws screens only: leave out -o, or use -o wide")
	case o.until != "" && o.until != "healthy":
		return clierror.Usagef("--until must be healthy, not %q", o.until)
	case o.until != "" && !o.watch:
		return clierror.Usagef("--until needs --watch")
	case o.sortBy != "" && !slices.Contains(orders(), o.sortBy):
		return clierror.Usagef("--sort-by must be one of %s, not %q", strings.Join(orders(), ", "), o.sortBy)
	case o.interval <= 0:
		return clierror.Usagef("--interval must be above zero, not %v", o.interval)
	}
	return nil
}

// selecting is a source that can be narrowed to labels.
type selecting interface{ Select(selector string) error }

// asking is a source that asks the members only where it is told to.
type asking interface{ AskMembers() }

func (o *options) prepare(source report.Source) error {
	if o.selector != "" {
		narrow, ok := source.(selecting)
		if !ok {
			return clierror.Usagef("--selector is for clusters: what runs on this machine has no labels")
		}
		if err := narrow.Select(o.selector); err != nil {
			return err
		}
	}
	if deep, ok := source.(asking); ok && o.format.Is(output.Wide) {
		deep.AskMembers()
	}
	return nil
}

// collect answers one report when one was asked for, or when there is only
// one.
func (o *options) collect(ctx context.Context, source report.Source, args []string) (reports []report.Runtime, one bool, err error) {
	if len(args) == 1 {
		r, err := o.session.Find(ctx, source, args[0])
		if err != nil {
			return nil, true, err
		}
		o.addNext(r)
		return []report.Runtime{*r}, true, nil
	}
	namespace := o.session.InNamespace()
	if o.everyone {
		namespace = ""
	}
	refs, err := source.Runtimes(ctx, namespace)
	if err != nil {
		return nil, false, err
	}
	collected := make([]*report.Runtime, len(refs))
	failed := make([]error, len(refs))
	var asking sync.WaitGroup
	for i, ref := range refs {
		asking.Go(func() { collected[i], failed[i] = source.Collect(ctx, ref) })
	}
	asking.Wait()
	for i, ref := range refs {
		if failed[i] != nil {
			// One runtime that cannot be looked at does not hide the others.
			collected[i] = report.New(ref, time.Now())
			collected[i].Health = report.Unavailable
			collected[i].Failures = []report.Failure{{Target: ref.String(), Error: failed[i].Error()}}
			collected[i].Targets = 1
		}
		o.addNext(collected[i])
		reports = append(reports, *collected[i])
	}
	return reports, len(reports) == 1 && !o.everyone, nil
}

// addNext names the command that leads on.
func (o *options) addNext(r *report.Runtime) {
	namespace := ""
	if r.Namespace != session.DefaultNamespace {
		namespace = " -n " + r.Namespace
	}
	if o.session.Local {
		namespace += " --local"
	}
	switch r.Health {
	case report.Healthy, report.Starting:
	case report.Stopped:
		r.Next = fmt.Sprintf("%s local down %s%s   # removes what was left", o.session.Name, r.Name, strings.TrimSuffix(namespace, " --local"))
	case report.Degraded, report.Unavailable:
		if r.Unserved {
			r.Next = fmt.Sprintf("%s create runtime %s%s", o.session.Name, r.Name, namespace)
			return
		}
		if !o.session.Local {
			r.Next = fmt.Sprintf("%s check %s%s", o.session.Name, r.Name, namespace)
			return
		}
		r.Next = fmt.Sprintf("%s raft status %s%s", o.session.Name, r.Name, namespace)
	}
}

func (o *options) print(w io.Writer, reports []report.Runtime, one bool) error {
	if o.format.ForPeople() {
		wide := o.format.Is(output.Wide)
		if one {
			return Draw(w, o.session.Screen(), &reports[0], wide)
		}
		if len(reports) == 0 {
			o.session.Say("%s", o.nothing())
			return nil
		}
		o.order(reports)
		return DrawRows(w, o.session.Screen(), reports, RowOptions{Wide: wide, NoHeaders: o.noHeaders, Namespaces: o.everyone})
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
