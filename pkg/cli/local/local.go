// Package local is the local commands: a runtime on this machine, out of the
// same manifests a cluster takes.
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

// New makes the local command.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run a Dataset and its JindoRuntime on this machine (Linux)",
		Long: `Run a Dataset and its JindoRuntime on this machine, as processes: masters,
workers and a FUSE mount, each runtime in a network of its own (127.x.y.0/24).

State, data and logs lie in ${XDG_CACHE_HOME:-~/.cache}/jindo/local.`,
		Args: session.None,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUp(s), newDown(s), newStatus(s), newSupervise(s), newGuard())
	return cmd
}

// hiddenDescriptor is where the hidden commands find the pipe they are given.
const hiddenDescriptor = 3

// hiddenWords run the hidden commands.
func hiddenWords(s *session.Session) []string { return append(slices.Clone(s.Self), "local") }

// newSupervise is what up runs in the background.
func newSupervise(s *session.Session) *cobra.Command {
	return &cobra.Command{
		Use:    "supervise",
		Hidden: true,
		Args:   session.None,
		RunE: func(*cobra.Command, []string) error {
			logger := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("component", "supervisor")
			err := local.Supervise(os.Stdin, hiddenWords(s), logger)
			if err != nil {
				logger.Error("ending", "error", err)
				report := os.NewFile(hiddenDescriptor, "report")
				_, _ = report.WriteString(err.Error()) // whoever started this may be gone
				return &clierror.Error{Code: clierror.General, Err: err, Silent: true}
			}
			return nil
		},
	}
}

// newGuard is what the supervisor runs beside itself.
func newGuard() *cobra.Command {
	var root, namespace string
	cmd := &cobra.Command{
		Use:    "guard NAME",
		Hidden: true,
		Args:   session.Exactly(1, "the runtime"),
		RunE: func(_ *cobra.Command, args []string) error {
			logger := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("component", "guard")
			return local.Guard(local.NewLayout(root, namespace, args[0]), os.NewFile(hiddenDescriptor, "watch"), logger)
		},
	}
	cmd.Flags().StringVar(&root, "root", "", "root of the state directories")
	cmd.Flags().StringVar(&namespace, "namespace", "", "namespace of the runtime")
	return cmd
}
