package raft

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// jindoFormat is the block that `jindo jfs -metaStatus -detail` prints.
const jindoFormat = "jindo"

// New returns the raft command.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "raft",
		Short: "Show and administer the masters' Raft group",
		Args:  session.None,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	for _, c := range []*cobra.Command{newStatus(s), newPeers(s), newTransfer(s), newRemovePeer(s), newVerify(s), newRecover(s)} {
		s.AddLocalFlag(c.Flags())
		cmd.AddCommand(c)
	}
	cmd.AddCommand(newSnapshot(s))
	return cmd
}

// statusOptions are the flags of raft status.
type statusOptions struct {
	session *session.Session
	format  *output.Format
	block   string
	// allNamespaces shows every runtime.
	allNamespaces bool
	// watch repeats the screen, every interval.
	watch    bool
	interval time.Duration
}

func newStatus(s *session.Session) *cobra.Command {
	o := &statusOptions{session: s, format: output.New(output.Table, output.Wide), interval: 2 * time.Second}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show each master's view of its Raft group",
		Long: `Show each master's view of its Raft group. If the masters disagree about the
leader or about their state, or if there is no leader, the views are shown and
the exit code is 3. An election takes about a second: run the command again, or
with -w.`,
		Args: session.AtMost(1, "a dataset or runtime"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), first(args)) },
	}
	o.format.AddFlag(cmd.Flags())
	cmd.Flags().StringVar(&o.block, "format", "", "`FORMAT` of the block that jindo jfs -metaStatus -detail prints: jindo")
	cmd.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "show the runtimes of all namespaces")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "repeat the screen every two seconds until interrupted")
	return cmd
}

func (o *statusOptions) validate(name string) error {
	switch {
	case o.block != "" && o.block != jindoFormat:
		return clierror.Usagef("--format must be jindo, not %q", o.block)
	case o.allNamespaces && name != "":
		return clierror.Usagef("--all-namespaces and the name %q exclude each other", name)
	case o.watch && !o.forPeople():
		return clierror.Usagef("--watch requires a table: omit -o and --format")
	}
	return o.format.Validate()
}

func (o *statusOptions) forPeople() bool { return o.block == "" && o.format.HumanReadable() }

func (o *statusOptions) run(ctx context.Context, name string) error {
	if err := o.validate(name); err != nil {
		return err
	}
	source, err := newSource(o.session)
	if err != nil {
		return err
	}
	if o.watch {
		return o.follow(ctx, source, name)
	}
	found, failed, err := o.collect(ctx, source, name)
	if err != nil {
		return err
	}
	if err := o.print(ctx, o.session.Streams.Out, found); err != nil {
		return err
	}
	if len(failed) > 0 {
		for _, err := range failed[1:] {
			o.session.Say("error: %v", err)
		}
		return failed[0]
	}
	for i := range found {
		if err := unhealthy(Evaluate(&found[i])); err != nil {
			return err
		}
	}
	return nil
}

// collect returns the report on a runtime, or those on all runtimes that can be
// read, and the errors of the others. It returns an error if there is no report.
func (o *statusOptions) collect(ctx context.Context, source report.Source, name string) (found []report.Runtime, failed []error, err error) {
	if !o.allNamespaces {
		r, err := find(ctx, o.session, source, name)
		if err != nil {
			return nil, nil, err
		}
		return []report.Runtime{*r}, nil, nil
	}
	refs, err := source.Runtimes(ctx, metav1.NamespaceAll)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // sources name the request
	}
	for _, ref := range refs {
		if ref.Name == "" {
			continue // a Dataset without a runtime has no masters
		}
		r, err := source.Collect(ctx, ref)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if r.Health != report.Stopped && len(r.Masters) > 0 {
			found = append(found, *r)
		}
	}
	switch {
	case len(found) == 0 && len(failed) > 0:
		return nil, nil, failed[0]
	case len(found) == 0:
		return nil, nil, clierror.Generalf("no runtime with masters was found in any namespace").
			WithTry("%s status -A%s", o.session.Name, localFlag(o.session))
	}
	return found, failed, nil
}

// unhealthy returns the error that sets the exit code of a group, or nil.
func unhealthy(e Evaluation) error {
	switch {
	case len(e.Disagreements) > 0:
		return &clierror.Error{Code: clierror.Unhealthy, Err: errors.New("the masters disagree or there is no leader"), Silent: true}
	case e.Reachable < e.Quorum || e.Voters == 0:
		return &clierror.Error{Code: clierror.Unhealthy, Err: errors.New("no quorum"), Silent: true}
	}
	return nil
}

func (o *statusOptions) print(ctx context.Context, w io.Writer, found []report.Runtime) error {
	if !o.forPeople() && o.block == "" {
		if o.allNamespaces {
			return o.format.Print(w, report.NewList(found), names(found)...)
		}
		return o.format.Print(w, &found[0], names(found)...)
	}
	for i := range found {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err //nolint:wrapcheck // the terminal's own error
			}
		}
		var err error
		if o.block == jindoFormat {
			err = DrawJindo(w, found[i].Masters, Resolver(ctx))
		} else {
			err = Draw(w, o.session.Screen(), &found[i], o.format.Is(output.Wide))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func names(found []report.Runtime) []string {
	var all []string
	for _, r := range found {
		all = append(all, "jindoruntime."+v1alpha1.Group+"/"+r.Name)
	}
	return all
}

// Resolver returns a function that resolves host names, each within a second. A
// name that cannot be resolved is returned unchanged.
func Resolver(ctx context.Context) func(host string) string {
	return func(host string) string {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		addresses, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil || len(addresses) == 0 {
			return host
		}
		return addresses[0]
	}
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// localFlag returns the flag that repeats --local in a suggestion, or "".
func localFlag(s *session.Session) string {
	if s.Local {
		return " --local"
	}
	return ""
}

// memberSource is a source that requests the masters' own views only if told to.
type memberSource interface{ QueryMasters() }

// newSource returns the source of the session's flags, with the masters' own
// views.
func newSource(s *session.Session) (report.Source, error) {
	source, err := s.Source(s)
	if err != nil {
		return nil, err
	}
	if m, ok := source.(memberSource); ok {
		m.QueryMasters()
	}
	return source, nil
}

// find returns the report on a runtime that has masters.
func find(ctx context.Context, s *session.Session, source report.Source, name string) (*report.Runtime, error) {
	r, err := s.Find(ctx, source, name)
	if err != nil {
		return nil, err //nolint:wrapcheck // the session explains it
	}
	switch {
	case r.Health == report.Stopped:
		return nil, clierror.Generalf("runtime %s/%s is not running", r.Namespace, r.Name).
			WithTry("%s local down %s   # removes what is left of it", s.Name, r.Name)
	case r.Unserved:
		return nil, clierror.Generalf("Dataset %s/%s has no JindoRuntime, so it has no masters", r.Namespace, r.Name).
			WithTry("%s status %s -n %s%s", s.Name, r.Name, r.Namespace, localFlag(s))
	case len(r.Masters) == 0:
		return nil, clierror.Generalf("runtime %s/%s has no masters", r.Namespace, r.Name).
			WithTry("%s status %s -n %s%s", s.Name, r.Name, r.Namespace, localFlag(s))
	}
	return r, nil
}
