// Package check is the check command: what must be so before and after an
// installation, and about one Dataset, each with a sentence and a place that
// explains it.
//
// It ends within 30 s whatever hangs, changes nothing (what it creates it
// creates as a dry run), and tells apart what failed from what it may not see.
package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/cluster"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

const short = "short"

type options struct {
	session *session.Session
	format  *output.Format
	pre     bool
	wait    time.Duration
	pause   time.Duration
}

// New makes the check command.
func New(s *session.Session) *cobra.Command {
	o := &options{session: s, format: output.New(output.Table, short), pause: 2 * time.Second}
	cmd := &cobra.Command{
		Use:   "check [DATASET]",
		Short: "Check the installation, and a dataset",
		Long: `Check whether everything is as it must be: the cluster, your rights, the
installation, the webhook, and a dataset when one is named. A line a check; what
failed or might fail says where it is explained. Nothing is changed, and the
exit code is 3 when a check failed.

With --pre it checks whether the product can be installed here.`,
		Example: fmt.Sprintf("  %[1]s check --pre\n  %[1]s check imagenet -n vision\n  %[1]s check --wait 2m -o short", s.Name),
		Args:    session.AtMost(1, "a dataset"),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	o.format.AddFlag(flags)
	flags.BoolVar(&o.pre, "pre", false, "check what must be so before the installation")
	flags.DurationVar(&o.wait, "wait", 0, "check again until nothing fails, for at most this long")
	return cmd
}

func (o *options) run(ctx context.Context, args []string) error {
	dataset := ""
	if len(args) == 1 {
		dataset = args[0]
	}
	if err := o.validate(dataset); err != nil {
		return err
	}
	c, err := o.session.Cluster()
	if err != nil {
		return err
	}
	ended := time.Now().Add(o.wait)
	for {
		r := o.look(ctx, c, dataset)
		left := time.Until(ended)
		if ctx.Err() != nil {
			return clierror.Generalf("checking: interrupted")
		}
		if r.Healthy || left <= 0 {
			return o.finish(r)
		}
		o.session.Say("%s; checking again", sum(r))
		select {
		case <-ctx.Done():
		case <-time.After(min(o.pause, left)):
		}
	}
}

func (o *options) validate(dataset string) error {
	if err := o.format.Validate(); err != nil {
		return err
	}
	switch {
	case o.pre && dataset != "":
		return clierror.Usagef("--pre checks a cluster before the installation: leave %q out, or --pre", dataset)
	case o.wait < 0:
		return clierror.Usagef("--wait must not be below zero: %v", o.wait)
	}
	return nil
}

func (o *options) look(ctx context.Context, c *session.Cluster, dataset string) *CheckReport {
	w := newWorld(o.session, c, dataset)
	w.collect = func(ctx context.Context) (*report.Runtime, error) { return collectRuntime(ctx, w) }
	categories := afterInstall(dataset)
	if o.pre {
		categories = beforeInstall()
	}
	return newReport(w.now(), runAll(ctx, w, categories))
}

// collectRuntime asks the members of the Dataset's runtime.
func collectRuntime(ctx context.Context, w *world) (*report.Runtime, error) {
	p := w.find(ctx)
	if p.runtime == nil {
		return nil, errors.New("no runtime serves it")
	}
	source, err := cluster.New(w.session)
	if err != nil {
		return nil, err
	}
	source.AskMembers()
	refs, err := source.Runtimes(ctx, p.runtime.Namespace)
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		if ref.Name == p.runtime.Name {
			return source.Collect(ctx, ref)
		}
	}
	return nil, errors.New("its runtime is gone")
}

func (o *options) finish(r *CheckReport) error {
	var err error
	switch {
	case o.format.Is(short):
		err = DrawShort(o.session.Streams.Out, o.session.Screen(), r)
	case o.format.ForPeople():
		err = Draw(o.session.Streams.Out, o.session.Screen(), r)
	default:
		names := make([]string, len(r.Checks))
		for i, c := range r.Checks {
			names[i] = c.Category + "/" + c.Name
		}
		err = o.format.Print(o.session.Streams.Out, r, names...)
	}
	if err != nil || r.Healthy {
		return err
	}
	code := clierror.Unhealthy
	if o.wait > 0 {
		code = clierror.TimedOut
	}
	return &clierror.Error{Code: code, Err: errors.New("a check failed"), Silent: true}
}
