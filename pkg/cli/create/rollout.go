package create

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// NewRollout returns the rollout command.
func NewRollout(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollout (pause | resume | retry | undo | history)",
		Short: "Pause, resume, repeat and undo the replacement of pods of a JindoRuntime",
		Long: `Pause, resume, repeat and undo the replacement of the pods of a JindoRuntime after an edit.

"status" shows the step of a replacement and what it waits for.`,
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
		newRetry(s),
		newUndo(s),
		newHistory(s),
	)
	return cmd
}

// newRetry returns the command that repeats an update that failed.
func newRetry(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry NAME",
		Short: "Repeat a replacement of pods that failed",
		Long: `Repeat a replacement of pods that failed.

If a pod of masters, workers or FUSE servers with a new template does not become ready,
it comes back with the previous template, as do those of its component that were replaced
before it, and the condition RolloutReverted has the cause. An edit of the spec that
changes their template begins again by itself. This command begins again with the same
spec, for example after an image was pushed.

The annotation ` + v1alpha1.RetryAnnotation + ` is set to the present time.`,
		Example: fmt.Sprintf("  %s rollout retry hadoop", s.Name),
	}
	o := &editOptions{options: newOptions(s, "retried"), given: func(string) bool { return false }}
	completeUpdates(cmd, o)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.retry = time.Now().UTC().Format(time.RFC3339Nano)
		return run(cmd, args)
	}
	return cmd
}

// newUpdates completes a command that sets the annotation about updates, or removes it if
// value is empty.
func newUpdates(s *session.Session, done, value string, cmd *cobra.Command) *cobra.Command {
	o := &editOptions{options: newOptions(s, done), updates: &value, given: func(string) bool { return false }}
	completeUpdates(cmd, o)
	return cmd
}

// completeUpdates adds what the commands that change a JindoRuntime have in common.
func completeUpdates(cmd *cobra.Command, o *editOptions) {
	cmd.ValidArgsFunction = completion.Once(completion.Runtimes(o.session))
	o.addFlags(cmd)
	addForceFlag(cmd, &o.force)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := session.RuntimeName(cmd.CommandPath(), args)
		if err != nil {
			return err
		}
		return o.run(cmd.Context(), name)
	}
}
