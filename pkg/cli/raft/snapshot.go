package raft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/atomicfile"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/master/snapshot"
)

func newSnapshot(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save, inspect, redact and restore the masters' state",
		Args:  session.None,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	save, restore := newSave(s), newRestore(s)
	s.AddLocalFlag(save.Flags())
	s.AddLocalFlag(restore.Flags())
	cmd.AddCommand(save, newInspect(s), newRedact(s), restore)
	return cmd
}

func newSave(s *session.Session) *cobra.Command {
	var path, master string
	cmd := &cobra.Command{
		Use:   "save [NAME] --file FILE",
		Short: "Save the masters' state to a file",
		Long: `Save the masters' state to a file: mounts, workers and sessions, neither data nor
credentials. The leader is read, and the file has every change that was acknowledged
before the command. With --master, the state of that master is saved as it is, also
without a leader. A file is replaced only by a complete, verified one.`,
		Args: session.AtMost(1, "a dataset or runtime"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if path == "" {
				return clierror.Usagef("--file is required")
			}
			return administer(cmd.Context(), s, first(args), func(_ *report.Runtime, m Masters) error {
				return SaveSnapshot(cmd.Context(), s.Streams.Out, m, master, path)
			})
		},
	}
	cmd.Flags().StringVarP(&path, "file", "f", "", "`FILE` to write")
	cmd.Flags().StringVar(&master, "master", "", "`MASTER` whose state is saved as it is (default: the leader)")
	return cmd
}

// SaveSnapshot saves the state of a master, or of the leader if master is empty, to a
// file, and prints what it holds.
func SaveSnapshot(ctx context.Context, w io.Writer, m Masters, master, path string) error {
	content, err := writeSnapshot(path, func(w io.Writer) error {
		return m.SaveSnapshot(ctx, master, w) //nolint:wrapcheck // the client names the act
	})
	if err != nil {
		return err
	}
	return printSnapshot(w, content)
}

// writeSnapshot replaces a file by what a function writes, once that is complete and
// verified, and returns it.
func writeSnapshot(path string, write func(io.Writer) error) (*snapshot.Content, error) {
	file, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return nil, clierror.Generalf("save a snapshot: %w", err)
	}
	defer file.Close()
	if err := write(file); err != nil {
		return nil, err //nolint:wrapcheck // the function names the act
	}
	content, err := readSnapshot(file.Name())
	if err != nil {
		return nil, err
	}
	if err := file.Commit(); err != nil {
		return nil, clierror.Generalf("save a snapshot: %w", err)
	}
	return content, nil
}

func newInspect(s *session.Session) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE",
		Short: "Verify a snapshot file and show what it holds",
		Long: `Verify a snapshot file and show what it holds. No master is called. The checksums of
the file and of the state are verified; a damaged file is an error that names the
damage.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		RunE:              func(_ *cobra.Command, args []string) error { return InspectSnapshot(s.Streams.Out, args[0]) },
	}
}

// InspectSnapshot verifies a snapshot file and prints what it holds.
func InspectSnapshot(w io.Writer, path string) error {
	content, err := readSnapshot(path)
	if err != nil {
		return err
	}
	return printSnapshot(w, content)
}

func readSnapshot(path string) (*snapshot.Content, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, clierror.Generalf("read snapshot: %w", err)
	}
	defer file.Close()
	content, err := snapshot.Read(file)
	if err != nil {
		return nil, clierror.Generalf("%s: %w", path, err)
	}
	return content, nil
}

func printSnapshot(w io.Writer, c *snapshot.Content) error {
	view := c.State.View()
	confirmed := "with every change acknowledged before"
	if !c.Confirmed {
		confirmed = "as that master had it; later changes may be missing"
	}
	var text strings.Builder
	line := func(title, format string, args ...any) {
		fmt.Fprintf(&text, "%-9s"+format+"\n", append([]any{title}, args...)...)
	}
	if c.Redacted {
		line("Redacted", "%s", "strings are replaced by tokens; it cannot be restored")
	}
	line("Cluster", "%s", c.ClusterID)
	line("Saved", "%s by %q of version %q, %s", c.Time.Format(time.RFC3339), c.Master, c.Program, confirmed)
	line("Index", "%s in term %s", printer.Count(c.Index), printer.Count(c.Term))
	for _, m := range c.Members {
		kind := "non-voter"
		if m.Voter {
			kind = "voter"
		}
		line("Member", "%q, %s at %q", m.ID, kind, m.Address)
	}
	line("Holds", "%s, %s in ring epoch %s, %s", printer.Plural(view.Mounts(), "mount"), printer.Plural(len(view.Workers()), "worker"),
		printer.Count(view.RingEpoch()), printer.Plural(len(view.Sessions()), "session"))
	for _, m := range view.Cluster().GetMounts() {
		line("Mount", "%q of %q", m.GetPath(), m.GetUri())
	}
	line("State", "%s", view.Digest())
	line("SHA-256", "%s", c.Sum)
	_, err := io.WriteString(w, text.String())
	return err //nolint:wrapcheck // the terminal's own error
}

func newRedact(s *session.Session) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "redact FILE --out OUT",
		Short: "Write a snapshot file without names, for diagnosis by others",
		Long: `Write a snapshot file without names, for diagnosis by others. No master is called.
OUT has the structure of FILE, and its counts, sizes, times, epochs and versions.
Every string (names, paths, buckets, endpoints, options, addresses, ids) is replaced by
tokens, one for each part between slashes. Equal parts have equal tokens in one file.
Tokens are keyed with random bytes that are not kept: guesses cannot be verified, and
tokens of two files cannot be compared. Only the schemes of stores ("oss:"), the roles of
clients ("worker") and the version of the program remain. OUT passes inspect and is
refused by restore.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		RunE: func(_ *cobra.Command, args []string) error {
			if to == "" {
				return clierror.Usagef("--out is required")
			}
			return RedactSnapshot(s.Streams.Out, args[0], to)
		},
	}
	cmd.Flags().StringVarP(&to, "out", "o", "", "file `OUT` to write")
	return cmd
}

// RedactSnapshot writes a redacted copy of a snapshot file, which must be another file,
// and prints what it holds.
func RedactSnapshot(w io.Writer, path, to string) error {
	content, err := readSnapshot(path)
	if err != nil {
		return err
	}
	if same(path, to) {
		return clierror.Usagef("%s would replace itself: name another file", path)
	}
	redacted, err := writeSnapshot(to, func(w io.Writer) error {
		return snapshot.Redact(w, content) //nolint:wrapcheck // it names the act
	})
	if err != nil {
		return err
	}
	return printSnapshot(w, redacted)
}

// same reports whether two paths are one file.
func same(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

func newRestore(s *session.Session) *cobra.Command {
	var path, master string
	var newCluster bool
	cmd := &cobra.Command{
		Use:   "restore [NAME] --file FILE --master MASTER",
		Short: "Start masters that have lost every disk from a snapshot file",
		Long: `Start masters that have lost every disk from a snapshot file of the same runtime. The
master verifies the file, stops, and restarts as the only member of the cluster, in the
next epoch; the other masters join it. It is refused unless every master responds and
has no state. Changes after the snapshot are lost; workers register again by
themselves.

A file of another runtime, or of one that was deleted and created again, is refused
without --into-new-cluster. With it, the mounts of the file are restored with their ids
and options; its workers and its clients' sessions are not, and the runtime's own id,
masters, workers and certificates stay.`,
		Args: session.AtMost(1, "a dataset or runtime"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if path == "" || master == "" {
				return clierror.Usagef("--file and --master are required")
			}
			return administer(cmd.Context(), s, first(args), func(_ *report.Runtime, m Masters) error {
				return RestoreSnapshot(cmd.Context(), s.Streams.Out, m, master, path, newCluster)
			})
		},
	}
	cmd.Flags().StringVarP(&path, "file", "f", "", "`FILE` that snapshot save has written")
	cmd.Flags().StringVar(&master, "master", "", "`MASTER` that starts with it")
	cmd.Flags().BoolVar(&newCluster, "into-new-cluster", false, "restore the mounts of a file of another cluster")
	return cmd
}

// RestoreSnapshot restores a snapshot file at a master without state; with newCluster, the
// mounts of a file of another cluster.
func RestoreSnapshot(ctx context.Context, w io.Writer, m Masters, master, path string, newCluster bool) error {
	content, err := readSnapshot(path)
	if err != nil {
		return err
	}
	if content.Redacted {
		return clierror.Generalf("%s: %w", path, snapshot.ErrRedacted)
	}
	file, err := os.Open(path)
	if err != nil {
		return clierror.Generalf("read snapshot: %w", err)
	}
	index, err := m.RestoreSnapshot(ctx, master, file, newCluster)
	if err := errors.Join(err, file.Close()); err != nil {
		return err //nolint:wrapcheck // the client names the act
	}
	what := "state"
	if newCluster {
		what = fmt.Sprintf("mounts of cluster %q", content.ClusterID)
	}
	_, err = fmt.Fprintf(w, "%s restarts with the %s after entry %s\n", master, what, printer.Count(index))
	return err //nolint:wrapcheck // the terminal's own error
}
