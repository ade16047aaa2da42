// Package check provides the check command, which checks a cluster before and
// after an installation, and one Dataset. Each check has a message and a section
// of docs/checks.md.
//
// The command ends within 30 s even if requests hang, changes nothing (objects are
// created as dry runs), and distinguishes failures from missing rights.
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

// New returns the check command.
func New(s *session.Session) *cobra.Command {
	o := &options{session: s, format: output.New(output.Table, short), pause: 2 * time.Second}
	cmd := &cobra.Command{
		Use:   "check [DATASET]",
		Short: "Check the installation, and a dataset",
		Long: `Check the cluster, your rights, the installation, the webhook, and a dataset if
one is named. Each check is a line; failures and warnings link to their
explanation. Nothing is changed. The exit code is 3 if a check failed.

With --pre it checks whether the product can be installed in this cluster.`,
		Example: fmt.Sprintf("  %[1]s check --pre\n  %[1]s check imagenet -n vision\n  %[1]s check --wait 2m -o short", s.Name),
		Args:    session.AtMost(1, "a dataset"),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	o.format.AddFlag(flags)
	flags.BoolVar(&o.pre, "pre", false, "check the requirements of an installation")
	flags.DurationVar(&o.wait, "wait", 0, "repeat the checks until none fails, for at most this long")
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
		r := o.check(ctx, c, dataset)
		left := time.Until(ended)
		if ctx.Err() != nil {
			return clierror.Generalf("check: interrupted")
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
		return clierror.Usagef("--pre checks a cluster before the installation: omit %q or --pre", dataset)
	case o.wait < 0:
		return clierror.Usagef("--wait must not be negative: %v", o.wait)
	}
	return nil
}

func (o *options) check(ctx context.Context, c *session.Cluster, dataset string) *CheckReport {
	w := newContext(o.session, c, dataset)
	w.collect = func(ctx context.Context) (*report.Runtime, error) { return collectRuntime(ctx, w) }
	categories := afterInstall(dataset)
	if o.pre {
		categories = beforeInstall()
	}
	return newReport(w.now(), runAll(ctx, w, categories))
}

// collectRuntime returns the report of the Dataset's runtime with its members' own
// views.
func collectRuntime(ctx context.Context, w *checkContext) (*report.Runtime, error) {
	p := w.find(ctx)
	if p.runtime == nil {
		return nil, errors.New("no runtime serves the dataset")
	}
	source, err := cluster.New(w.session)
	if err != nil {
		return nil, err
	}
	source.QueryMembers()
	refs, err := source.Runtimes(ctx, p.runtime.Namespace)
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		if ref.Name == p.runtime.Name {
			return source.Collect(ctx, ref)
		}
	}
	return nil, errors.New("its runtime was deleted")
}

func (o *options) finish(r *CheckReport) error {
	var err error
	switch {
	case o.format.Is(short):
		err = DrawShort(o.session.Streams.Out, o.session.Screen(), r)
	case o.format.HumanReadable():
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
