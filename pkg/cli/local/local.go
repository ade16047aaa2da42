// Package local implements the commands `local up`, `down` and `status`, which run
// a runtime on this machine from the manifests for a cluster. Its Source supplies
// the data of local runtimes to the commands with --local.
package local

import (
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/local"
)

// New returns the local command.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run a Dataset and its JindoRuntime on this machine (Linux)",
		Long: `Run a Dataset and its JindoRuntime on this machine, as processes: masters,
workers and a FUSE mount, each runtime in a network of its own (127.x.y.0/24).

State, data and logs are in ${XDG_CACHE_HOME:-~/.cache}/jindo/local.`,
		Args: session.None,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUp(s), newDown(s), newStatus(s), newSupervise(s), newReaper())
	return cmd
}

// hiddenDescriptor is the file descriptor of the pipe that the hidden commands
// inherit.
const hiddenDescriptor = 3

// hiddenWords returns the words with which the hidden commands are run.
func hiddenWords(s *session.Session) []string { return append(slices.Clone(s.Self), "local") }

// newSupervise returns the command that up runs in the background.
func newSupervise(s *session.Session) *cobra.Command {
	return &cobra.Command{
		Use:    "supervise",
		Hidden: true,
		Args:   session.None,
		RunE: func(*cobra.Command, []string) error {
			logger := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("component", "supervisor")
			err := local.Supervise(os.Stdin, hiddenWords(s), logger)
			if err != nil {
				logger.Error("supervisor failed", "error", err)
				report := os.NewFile(hiddenDescriptor, "report")
				_, _ = report.WriteString(err.Error()) // the starting process may have ended
				return &clierror.Error{Code: clierror.General, Err: err, Silent: true}
			}
			return nil
		},
	}
}

// newReaper returns the command of the orphan reaper, which the supervisor runs.
func newReaper() *cobra.Command {
	var root, namespace string
	cmd := &cobra.Command{
		Use:    "guard NAME",
		Hidden: true,
		Args:   session.Exactly(1, "the runtime"),
		RunE: func(_ *cobra.Command, args []string) error {
			logger := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("component", "guard")
			return local.ReapOrphans(local.NewLayout(root, namespace, args[0]), os.NewFile(hiddenDescriptor, "watch"), logger)
		},
	}
	cmd.Flags().StringVar(&root, "root", "", "root of the state directories")
	cmd.Flags().StringVar(&namespace, "namespace", "", "namespace of the runtime")
	return cmd
}
