package raft

import (
	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

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
			source, err := newSource(s)
			if err != nil {
				return err
			}
			r, err := find(cmd.Context(), s, source, first(args))
			if err != nil {
				return err
			}
			peers := newestPeers(r)
			if format.HumanReadable() {
				return peerTable(r, peers, noHeaders, format.Is(output.Wide)).Write(s.Streams.Out, s.Screen())
			}
			names := make([]string, len(peers))
			for i, p := range peers {
				names[i] = p.Name
			}
			return format.Print(s.Streams.Out, r, names...)
		},
	}
	format.AddFlag(cmd.Flags())
	cmd.Flags().BoolVar(&noHeaders, "no-headers", false, "omit the header")
	return cmd
}

func peerTable(r *report.Runtime, peers []report.Peer, noHeaders, wide bool) *printer.Table {
	t := &printer.Table{NoHeaders: noHeaders, Wide: wide, Columns: []printer.Column{
		{Title: "MASTER"}, {Title: "ADDRESS"}, {Title: "SUFFRAGE"}, {Title: "LEADER"}, {Title: "MEMBER", Drop: 1},
	}}
	leader := r.Leader()
	for _, p := range peers {
		suffrage, leads := "Nonvoter", "false"
		if p.Voter {
			suffrage = "Voter"
		}
		if leader != nil && leader.Name == p.Name {
			leads = "true"
		}
		t.Add(p.Name, p.Address, suffrage, leads, p.MemberID)
	}
	return t
}
