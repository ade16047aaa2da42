// Package completion completes what people type: names as they are on the
// cluster now, with how they are. Who presses TAB waits at most two seconds,
// and is never shown an error.
package completion

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// New makes the completion command.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion (bash|zsh|fish|powershell|install)",
		Short: "Complete commands and names in a shell",
		Long: `Complete commands and names in a shell.

kubectl completes its plugins through programs named kubectl_complete-PLUGIN.
"install" puts one beside this program; with kubectl's own completion set up,
"kubectl jindo status <TAB>" then offers names. The other commands print a
script for those who run the program directly, as kubectl-jindo.`,
		Example: "  " + s.Name + " completion install",
		Args:    session.None,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return clierror.Usagef("say which shell: bash, zsh, fish or powershell, or install").WithTry("%s install", cmd.CommandPath())
		},
	}
	cmd.AddCommand(
		script(s, "bash", func(root *cobra.Command) error { return root.GenBashCompletionV2(s.Streams.Out, true) }),
		script(s, "zsh", func(root *cobra.Command) error { return root.GenZshCompletion(s.Streams.Out) }),
		script(s, "fish", func(root *cobra.Command) error { return root.GenFishCompletion(s.Streams.Out, true) }),
		script(s, "powershell", func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(s.Streams.Out) }),
		newInstall(s),
	)
	return cmd
}

func script(s *session.Session, shell string, write func(root *cobra.Command) error) *cobra.Command {
	load := map[string]string{
		"bash": "source <(kubectl-jindo completion bash)", "zsh": "source <(kubectl-jindo completion zsh)",
		"fish": "kubectl-jindo completion fish | source", "powershell": "kubectl-jindo completion powershell | Out-String | Invoke-Expression",
	}[shell]
	return &cobra.Command{
		Use:     shell,
		Short:   "Print the script for " + shell,
		Long:    "Print the script that completes kubectl-jindo in " + shell + ".\n\nFor \"kubectl jindo\" see \"" + s.Name + " completion install\".",
		Example: "  " + load,
		Args:    session.None,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := write(cmd.Root()); err != nil {
				return fmt.Errorf("printing the script: %w", err)
			}
			return nil
		},
	}
}

// prefix of the programs that complete for kubectl.
const prefix = "kubectl_complete-"

// Arguments of this process, where it was called to complete for kubectl: then
// they are what was typed so far.
func Arguments(argv0 string, arguments []string) []string {
	if !strings.HasPrefix(base(argv0), prefix) {
		return arguments
	}
	return append([]string{cobra.ShellCompRequestCmd}, arguments...)
}

// base is the last element of a path of any system.
func base(path string) string { return path[strings.LastIndexAny(path, `/\`)+1:] }

// Attach completes the global flags, and what commands take that do not say so
// themselves.
func Attach(s *session.Session, root *cobra.Command) {
	for path, complete := range map[string]Function{
		"status": DatasetsAndRuntimes(s), "check": DatasetsAndRuntimes(s), "raft status": DatasetsAndRuntimes(s),
		"raft list-peers": DatasetsAndRuntimes(s), "raft transfer-leader": DatasetsAndRuntimes(s), "inject explain": Pods(s),
	} {
		words := strings.Fields(path)
		cmd, _, err := root.Find(words)
		if err == nil && cmd.Name() == words[len(words)-1] && cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = Once(complete)
		}
	}
	flags(root)
	ToFlag(root, "namespace", Namespaces(s))
	ToFlag(root, "context", Contexts(s))
	ToFlag(root, "color", Words("auto", "always", "never"))
}

// flags that are the same wherever there are.
func flags(cmd *cobra.Command) {
	if cmd.LocalFlags().Lookup("output") != nil {
		ToFlag(cmd, "output", Words("wide", "json", "yaml", "kyaml", "name", "jsonpath=", "go-template="))
	}
	if cmd.LocalFlags().Lookup("dry-run") != nil {
		ToFlag(cmd, "dry-run", Words("none", "client", "server"))
	}
	for _, child := range cmd.Commands() {
		flags(child)
	}
}

// ToFlag completes the value of a command's flag. A flag that the command does
// not have is left alone.
func ToFlag(cmd *cobra.Command, flag string, complete Function) {
	// It fails for flags that are not there, or are completed already.
	_ = cmd.RegisterFlagCompletionFunc(flag, complete)
}
