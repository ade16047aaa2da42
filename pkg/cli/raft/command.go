package raft

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/printer"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// Transferrer is a source whose runtimes can be told to change their leader.
type Transferrer interface {
	// Transfer hands leadership to the named master, or to the one most caught
	// up when to is "", and answers who leads then.
	Transfer(ctx context.Context, ref report.Ref, to string) (leader string, err error)
}

// jindoFormat is the block that `jindo jfs -metaStatus -detail` prints.
const jindoFormat = "jindo"

// New makes the raft command.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "raft",
		Short: "Look at the masters' Raft group and change who leads",
		Args:  session.None,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, c := range []*cobra.Command{newStatus(s), newPeers(s), newTransfer(s)} {
		s.AddLocalFlag(c.Flags())
		cmd.AddCommand(c)
	}
	return cmd
}

type statusOptions struct {
	session *session.Session
	format  *output.Format
	block   string
}

func newStatus(s *session.Session) *cobra.Command {
	o := &statusOptions{session: s, format: output.New(output.Table, output.Wide)}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show what each master says of the group",
		Long: `Show what each master says of the group. When they disagree about who leads or
about their state, or when nobody leads, each one's word is shown and the exit
code is 3. An election takes about a second: ask again.`,
		Args: session.AtMost(1, "a dataset or runtime"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), first(args)) },
	}
	o.format.AddFlag(cmd.Flags())
	cmd.Flags().StringVar(&o.block, "format", "", "jindo: the block that `jindo jfs -metaStatus -detail` prints")
	return cmd
}

func (o *statusOptions) run(ctx context.Context, name string) error {
	if o.block != "" && o.block != jindoFormat {
		return clierror.Usagef("--format must be jindo, not %q", o.block)
	}
	if err := o.format.Validate(); err != nil {
		return err
	}
	r, _, err := find(ctx, o.session, name)
	if err != nil {
		return err
	}
	if err := o.print(ctx, r); err != nil {
		return err
	}
	v := Judge(r)
	if len(v.Disagreements) > 0 {
		return &clierror.Error{Code: clierror.Unhealthy, Err: errors.New("the masters disagree or nobody leads"), Silent: true}
	}
	if v.Reachable < v.Quorum || v.Voters == 0 {
		return &clierror.Error{Code: clierror.Unhealthy, Err: errors.New("no quorum"), Silent: true}
	}
	return nil
}

func (o *statusOptions) print(ctx context.Context, r *report.Runtime) error {
	switch {
	case o.block == jindoFormat:
		return DrawJindo(o.session.Streams.Out, r.Masters, Resolver(ctx))
	case o.format.ForPeople():
		return Draw(o.session.Streams.Out, o.session.Screen(), r, o.format.Is(output.Wide))
	}
	return o.format.Print(o.session.Streams.Out, r, "jindoruntime."+v1alpha1.Group+"/"+r.Name)
}

// Resolver finds addresses of host names within a second; one that it cannot
// find stays as it is.
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

// asking is a source that asks the masters only where it is told to.
type asking interface{ AskMasters() }

func find(ctx context.Context, s *session.Session, name string) (*report.Runtime, report.Source, error) {
	source, err := s.Source(s)
	if err != nil {
		return nil, nil, err
	}
	if a, ok := source.(asking); ok {
		a.AskMasters()
	}
	r, err := s.Find(ctx, source, name)
	if err != nil {
		return nil, nil, err
	}
	if r.Health == report.Stopped {
		return nil, nil, clierror.Generalf("runtime %s/%s does not run", r.Namespace, r.Name).
			WithTry("%s local down %s   # removes what was left", s.Name, r.Name)
	}
	if r.Unserved {
		return nil, nil, clierror.Generalf("Dataset %s/%s has no JindoRuntime: there are no masters", r.Namespace, r.Name).
			WithTry("%s status %s -n %s", s.Name, r.Name, r.Namespace)
	}
	if len(r.Masters) == 0 {
		return nil, nil, clierror.Generalf("runtime %s/%s has no masters", r.Namespace, r.Name)
	}
	return r, source, nil
}

func newPeers(s *session.Session) *cobra.Command {
	format := output.New(output.Table, output.Wide)
	var noHeaders bool
	cmd := &cobra.Command{
		Use:   "list-peers [NAME]",
		Short: "List the members of the newest configuration",
		Args:  session.AtMost(1, "a dataset or runtime"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := format.Validate(); err != nil {
				return err
			}
			r, _, err := find(cmd.Context(), s, first(args))
			if err != nil {
				return err
			}
			peers := newestPeers(r)
			if !format.ForPeople() {
				names := make([]string, len(peers))
				for i, p := range peers {
					names[i] = p.Name
				}
				return format.Print(s.Streams.Out, r, names...)
			}
			t := printer.Table{NoHeaders: noHeaders, Wide: format.Is(output.Wide), Columns: []printer.Column{
				{Title: "MASTER"}, {Title: "ADDRESS"}, {Title: "SUFFRAGE"}, {Title: "LEADER"}, {Title: "MEMBER", Drop: 1},
			}}
			for _, p := range peers {
				suffrage, leads := "Nonvoter", "false"
				if p.Voter {
					suffrage = "Voter"
				}
				if l := r.Leader(); l != nil && l.Name == p.Name {
					leads = "true"
				}
				t.Add(p.Name, p.Address, suffrage, leads, p.MemberID)
			}
			return t.Write(s.Streams.Out, s.Screen())
		},
	}
	format.AddFlag(cmd.Flags())
	cmd.Flags().BoolVar(&noHeaders, "no-headers", false, "leave the titles out")
	return cmd
}

func newTransfer(s *session.Session) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "transfer-leader [NAME]",
		Short: "Hand leadership to another master",
		Args:  session.AtMost(1, "a dataset or runtime"),
		RunE:  func(cmd *cobra.Command, args []string) error { return transfer(cmd.Context(), s, first(args), to) },
	}
	cmd.Flags().StringVar(&to, "to", "", "master to lead (default: the one most caught up)")
	return cmd
}

func transfer(ctx context.Context, s *session.Session, name, to string) error {
	r, source, err := find(ctx, s, name)
	if err != nil {
		return err
	}
	transferrer, ok := source.(Transferrer)
	if !ok {
		return clierror.Generalf("leadership of %s/%s cannot be handed over from here", r.Namespace, r.Name)
	}
	if to != "" && !answers(r, to) {
		names := make([]string, len(r.Masters))
		for i, m := range r.Masters {
			names[i] = m.Name
		}
		return clierror.Usagef("%q is no master that answers: there are %v", to, names)
	}
	leader, err := transferrer.Transfer(ctx, report.Ref{Namespace: r.Namespace, Name: r.Name}, to)
	if err != nil {
		return clierror.Generalf("handing leadership over: %w", err).WithTry("%s raft status %s", s.Name, r.Name)
	}
	if _, err := fmt.Fprintf(s.Streams.Out, "%s leads\n", leader); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
