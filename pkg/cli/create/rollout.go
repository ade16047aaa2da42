package create

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// NewRollout returns the rollout command.
func NewRollout(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollout (pause | resume)",
		Short: "Pause and resume the replacement of pods of a JindoRuntime",
		Long: `Pause and resume the replacement of the pods of a JindoRuntime after an edit.

"status" shows the step of a replacement and what it waits for. To undo an edit,
apply the previous manifest: pods that were replaced are replaced again, one at a
time.`,
		Args: session.None,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(
		newUpdates(s, "paused", v1alpha1.UpdatesPaused, &cobra.Command{
			Use:   "pause NAME",
			Short: "Pause the replacement of pods",
			Long: `Pause the replacement of pods.

The pod that is being replaced becomes ready, and no other one is replaced. The number
of masters does not change, either. Edits are accepted, and carried out after "resume".`,
			Example: fmt.Sprintf("  %s rollout pause hadoop", s.Name),
		}),
		newUpdates(s, "resumed", "", &cobra.Command{
			Use:   "resume NAME",
			Short: "Resume the replacement of pods",
			Long: `Resume the replacement of pods.

The annotation ` + v1alpha1.UpdatesAnnotation + ` is removed, also with the value
` + v1alpha1.UpdatesAutomatic + `, which replaces pods after an upgrade of the controllers.`,
			Example: fmt.Sprintf("  %s rollout resume hadoop", s.Name),
		}),
	)
	return cmd
}

// newUpdates completes a command that sets the annotation about updates, or removes it if
// value is empty.
func newUpdates(s *session.Session, done, value string, cmd *cobra.Command) *cobra.Command {
	o := &editOptions{options: newOptions(s, done), updates: &value, given: func(string) bool { return false }}
	cmd.ValidArgsFunction = completion.Once(completion.Runtimes(s))
	o.addFlags(cmd)
	addForceFlag(cmd, &o.force)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := session.RuntimeName(cmd.CommandPath(), args)
		if err != nil {
			return err
		}
		return o.run(cmd.Context(), name)
	}
	return cmd
}
