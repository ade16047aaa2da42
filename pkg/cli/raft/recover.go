package raft

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/master/recovery"
)

func newRecover(s *session.Session) *cobra.Command {
	var master string
	var confirmed bool
	cmd := &cobra.Command{
		Use:   "recover [NAME] --master MASTER [--yes]",
		Short: "Continue with one master when a majority is lost for good",
		Long: `Continue with one master when a majority is lost for good. The master stops, makes
what is on its disk the state of the only member of the cluster, in the next epoch, and
restarts; the other masters join it as new ones. Choose the master with the most complete
log: changes that only lost masters have are lost. Without --yes, the command shows what
would be kept and lost, and changes nothing.

It is refused while a majority of the masters responds. Do not start lost masters where
they reach each other and not the recovered one.`,
		Args: session.AtMost(1, "a dataset or runtime"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return administer(cmd.Context(), s, first(args), func(r *report.Runtime, m Masters) error {
				if master == "" {
					return clierror.Usagef("--master is required: the masters that respond are %s", responding(r))
				}
				if err := Recover(cmd.Context(), s.Streams.Out, m, master, confirmed); err != nil {
					return err
				}
				if !confirmed {
					s.Say("try: %s raft recover %s -n %s%s --master %s --yes", s.Name, r.Name, r.Namespace, localFlag(s), master)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&master, "master", "", "`MASTER` whose disk is continued")
	cmd.Flags().BoolVar(&confirmed, "yes", false, "recover, instead of showing what would happen")
	return cmd
}

// responding names the masters that responded, with the end of their logs.
func responding(r *report.Runtime) string {
	var names []string
	for _, m := range r.Masters {
		if m.Error == "" {
			names = append(names, fmt.Sprintf("%s (last log %s)", m.Name, printer.Count(m.LastLogIndex)))
		}
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

// Recover prints what a recovery from a master keeps and loses, and recovers if it is
// confirmed.
func Recover(ctx context.Context, w io.Writer, m Masters, master string, confirmed bool) error {
	plan, err := m.Recover(ctx, master, confirmed)
	if err != nil {
		return err //nolint:wrapcheck // the client names the act
	}
	return recovery.Write(w, master, plan, confirmed) //nolint:wrapcheck // the terminal's own error
}
