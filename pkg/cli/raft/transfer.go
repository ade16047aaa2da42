package raft

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// Transferrer is a source that can transfer the leadership of its runtimes.
type Transferrer interface {
	// Transfer transfers leadership to the named master, or to the most advanced
	// one if to is "", and returns the name of the new leader.
	Transfer(ctx context.Context, ref report.Ref, to string) (leader string, err error)
}

func newTransfer(s *session.Session) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "transfer-leader [NAME]",
		Short: "Transfer leadership to another master",
		Args:  session.AtMost(1, "a dataset or runtime"),
		RunE:  func(cmd *cobra.Command, args []string) error { return transfer(cmd.Context(), s, first(args), to) },
	}
	cmd.Flags().StringVar(&to, "to", "", "`MASTER` to lead (default: the most advanced one)")
	return cmd
}

func transfer(ctx context.Context, s *session.Session, name, to string) error {
	source, err := newSource(s)
	if err != nil {
		return err
	}
	r, err := find(ctx, s, source, name)
	if err != nil {
		return err
	}
	transferrer, ok := source.(Transferrer)
	if !ok {
		return clierror.Generalf("leadership of %s/%s cannot be transferred from here", r.Namespace, r.Name)
	}
	next := fmt.Sprintf("%s raft status %s -n %s%s", s.Name, r.Name, r.Namespace, localFlag(s))
	// Masters that did not respond within the timeout are not waited for again.
	if e := Evaluate(r); e.Voters == 0 || e.Reachable < e.Quorum {
		return clierror.Generalf("transfer leadership of %s/%s: no quorum: %d of %d masters are reachable",
			r.Namespace, r.Name, e.Reachable, max(e.Voters, len(r.Masters))).WithTry("%s", next)
	}
	if to != "" && !reachable(r, to) {
		names := make([]string, len(r.Masters))
		for i, m := range r.Masters {
			names[i] = m.Name
		}
		return clierror.Usagef("--to %q: not a reachable master of %s/%s: the masters are %v", to, r.Namespace, r.Name, names).WithTry("%s", next)
	}
	leader, err := transferrer.Transfer(ctx, report.Ref{Namespace: r.Namespace, Name: r.Name}, to)
	if err != nil {
		return clierror.Generalf("transfer leadership of %s/%s: %w", r.Namespace, r.Name, err).WithTry("%s", next)
	}
	if _, err := fmt.Fprintf(s.Streams.Out, "%s leads\n", leader); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
