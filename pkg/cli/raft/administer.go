package raft

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/master/client"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// Masters are the masters of one runtime, called with the certificate of the role
// admin; see the methods of client.Client.
type Masters interface {
	Recover(ctx context.Context, master string, confirm bool) (*masterv1.RecoverResponse, error)
	RemovePeer(ctx context.Context, member string) (id string, err error)
	RestoreSnapshot(ctx context.Context, master string, file io.Reader, newCluster bool) (index uint64, err error)
	SaveSnapshot(ctx context.Context, master string, w io.Writer) error
	Verify(ctx context.Context) *client.Verification
}

var _ Masters = (*client.Client)(nil)

// Administrator is a source that can call the masters of its runtimes.
type Administrator interface {
	Administer(ctx context.Context, ref report.Ref, use func(Masters) error) error
}

// administer finds a runtime and calls a function with its masters.
func administer(ctx context.Context, s *session.Session, name string, use func(*report.Runtime, Masters) error) error {
	source, err := newSource(s)
	if err != nil {
		return err
	}
	r, err := find(ctx, s, source, name)
	if err != nil {
		return err
	}
	administrator, ok := source.(Administrator)
	if !ok {
		return clierror.Generalf("the masters of %s/%s cannot be administered from here", r.Namespace, r.Name)
	}
	err = administrator.Administer(ctx, report.Ref{Namespace: r.Namespace, Name: r.Name}, func(m Masters) error { return use(r, m) })
	var known *clierror.Error
	if err != nil && !errors.As(err, &known) {
		return clierror.Generalf("%w", err).WithTry("%s raft status %s -n %s%s", s.Name, r.Name, r.Namespace, localFlag(s))
	}
	return err //nolint:wrapcheck // it is that of the function
}

func newRemovePeer(s *session.Session) *cobra.Command {
	var member string
	cmd := &cobra.Command{
		Use:   "remove-peer [NAME] --member MEMBER",
		Short: "Remove a member that is lost for good",
		Long: `Remove a member that is lost for good. The others must have a majority that is
alive and caught up without it. A master that responds and belongs to the runtime
is not removed, because it would join again; a master that returns with an empty
disk replaces the lost member of its name by itself.`,
		Args: session.AtMost(1, "a dataset or runtime"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if member == "" {
				return clierror.Usagef("--member is required: the name of a master or the id of a member")
			}
			return administer(cmd.Context(), s, first(args), func(_ *report.Runtime, m Masters) error {
				return RemovePeer(cmd.Context(), s.Streams.Out, m, member)
			})
		},
	}
	cmd.Flags().StringVar(&member, "member", "", "`MEMBER` to remove: the name of a master or the id of a member")
	return cmd
}

// RemovePeer removes a member and prints its id.
func RemovePeer(ctx context.Context, w io.Writer, m Masters, member string) error {
	id, err := m.RemovePeer(ctx, member)
	if err != nil {
		return err //nolint:wrapcheck // the client names the act
	}
	_, err = fmt.Fprintf(w, "%s removed\n", id)
	return err //nolint:wrapcheck // the terminal's own error
}

func newVerify(s *session.Session) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [NAME]",
		Short: "Compare the logs and the states of all masters",
		Long: `Compare the logs and the states of all masters while they run: each reads the
entries that all have from its disk and verifies their checksums. The exit code is 3
if a log is damaged, if two masters differ, or if one did not respond.`,
		Args: session.AtMost(1, "a dataset or runtime"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return administer(cmd.Context(), s, first(args), func(_ *report.Runtime, m Masters) error {
				sound, err := Verify(cmd.Context(), s.Streams.Out, m)
				if err == nil && !sound {
					return &clierror.Error{Code: clierror.Unhealthy, Err: errors.New("the masters are not verified"), Silent: true}
				}
				return err
			})
		},
	}
}

// Verify compares the masters, prints the result, and reports whether all are sound
// and equal.
func Verify(ctx context.Context, w io.Writer, m Masters) (sound bool, err error) {
	v := m.Verify(ctx)
	sound = v.Sound()
	t := &printer.Table{Columns: []printer.Column{{Title: "MASTER"}, {Title: "LOG"}, {Title: "STATE"}, {Title: "ERROR"}}}
	for _, member := range v.Members {
		text := printer.None
		if member.Err != nil {
			text = member.Err.Error()
		}
		t.Add(member.Name, cmp.Or(member.Checksum, printer.None), cmp.Or(member.Digest, printer.None), text)
	}
	if err := t.Write(w, iostreams.Screen{}); err != nil {
		return false, err //nolint:wrapcheck // the terminal's own error
	}
	entries, state := "no entries in common", "no index in common"
	if v.Last > 0 {
		entries = fmt.Sprintf("entries %s to %s", printer.Count(v.First), printer.Count(v.Last))
	}
	if v.DigestIndex > 0 {
		state = "at applied " + printer.Count(v.DigestIndex)
	}
	verdict := "all masters agree"
	switch {
	case v.Differ():
		verdict = "the masters DIFFER"
	case !sound:
		verdict = "not all masters were compared"
	}
	_, err = fmt.Fprintf(w, "\nLog      %s\nState    %s\nResult   %s\n", entries, state, verdict)
	return sound, err //nolint:wrapcheck // the terminal's own error
}
