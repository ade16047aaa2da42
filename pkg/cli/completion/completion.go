// Package completion provides shell completion: of commands and flags, and of the
// names of objects with their state, which are read from the cluster within two
// seconds. Errors are never printed.
package completion

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// New returns the completion command.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion (bash|zsh|fish|powershell|install|uninstall)",
		Short: "Set up shell completion",
		Long: `Set up shell completion.

kubectl completes its plugins with programs named kubectl_complete-PLUGIN.
"install" creates one beside this program; if kubectl's own completion is set up,
"kubectl jindo status <TAB>" then completes names. The other commands print a
completion script for running the program directly, as kubectl-jindo.`,
		Example: "  " + s.Name + " completion install",
		Args:    session.None,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return clierror.Usagef("missing shell: want bash, zsh, fish, powershell or install").WithTry("%s install", cmd.CommandPath())
		},
	}
	cmd.AddCommand(
		script(s, "bash", func(root *cobra.Command) error { return root.GenBashCompletionV2(s.Streams.Out, true) }),
		script(s, "zsh", func(root *cobra.Command) error { return root.GenZshCompletion(s.Streams.Out) }),
		script(s, "fish", func(root *cobra.Command) error { return root.GenFishCompletion(s.Streams.Out, true) }),
		script(s, "powershell", func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(s.Streams.Out) }),
		newInstall(s),
		newUninstall(s),
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
		Short:   "Print the completion script for " + shell,
		Long:    "Print the completion script of kubectl-jindo for " + shell + ".\n\nFor \"kubectl jindo\" see \"" + s.Name + " completion install\".",
		Example: "  " + load,
		Args:    session.None,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := write(cmd.Root()); err != nil {
				return fmt.Errorf("print the script: %w", err)
			}
			return nil
		},
	}
}

// prefix is that of the programs that kubectl runs for completion.
const prefix = "kubectl_complete-"

// Arguments returns the arguments to run with. If argv0 is that of a completion
// program of kubectl, the arguments are what was typed so far.
func Arguments(argv0 string, arguments []string) []string {
	if !strings.HasPrefix(base(argv0), prefix) {
		return arguments
	}
	return append([]string{cobra.ShellCompRequestCmd}, arguments...)
}

// base returns the last element of a path of any operating system.
func base(path string) string { return path[strings.LastIndexAny(path, `/\`)+1:] }

// Requested reports whether the arguments may request completion. Only then
// [Attach] is necessary, which takes half of the time to build the commands.
func Requested(arguments []string) bool {
	return slices.Contains(arguments, cobra.ShellCompRequestCmd) || slices.Contains(arguments, cobra.ShellCompNoDescRequestCmd)
}

// Attach adds completion to all commands: of the arguments that commands do not
// complete themselves, of the values of flags, and of help topics. Files are
// offered only where a file or directory is expected.
func Attach(s *session.Session, root *cobra.Command) {
	for path, complete := range map[string]Function{
		"status": DatasetsAndRuntimes(s), "check": DatasetsAndRuntimes(s), "raft status": DatasetsAndRuntimes(s),
		"raft list-peers": DatasetsAndRuntimes(s), "raft transfer-leader": DatasetsAndRuntimes(s), "raft verify": DatasetsAndRuntimes(s),
		"raft remove-peer": DatasetsAndRuntimes(s), "raft recover": DatasetsAndRuntimes(s), "raft snapshot save": DatasetsAndRuntimes(s),
		"raft snapshot restore": DatasetsAndRuntimes(s), "inject explain": Pods(s),
		"local down": LocalRuntimes(s), "local status": LocalRuntimes(s),
	} {
		words := strings.Fields(path)
		cmd, _, err := root.Find(words)
		if err == nil && cmd.Name() == words[len(words)-1] && cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = Once(complete)
		}
	}
	ToFlag(root, "namespace", Namespaces(s))
	ToFlag(root, "context", Contexts(s))
	ToFlag(root, "color", Words("auto", "always", "never"))
	root.InitDefaultHelpCmd()
	attach(root)
}

// attach adds the completion that is the same for all commands.
func attach(cmd *cobra.Command) {
	ToFlag(cmd, "output", Words("wide", "json", "yaml", "kyaml", "name", "jsonpath=", "go-template="))
	ToFlag(cmd, "dry-run", Words("none", "client", "server"))
	ToFlag(cmd, "until", Words("healthy"))
	ToFlag(cmd, "format", Words("jindo"))
	cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		if !takesFile(flag) {
			ToFlag(cmd, flag.Name, cobra.NoFileCompletions)
		}
	})
	switch {
	case cmd.Name() == "help":
		cmd.ValidArgsFunction = helpTopics
	case cmd.ValidArgsFunction == nil && !cmd.HasSubCommands():
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, child := range cmd.Commands() {
		attach(child)
	}
}

// takesFile reports whether the value of a flag is a file or directory.
func takesFile(flag *pflag.Flag) bool {
	return slices.Contains([]string{
		"filename", "kustomize", "credentials-file", "dir", "bin-dir", "mountpoint", "file", "out",
		"kubeconfig", "cache-dir", "certificate-authority", "client-certificate", "client-key",
	}, flag.Name)
}

// helpTopics completes the arguments of help: commands and topics.
func helpTopics(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	about, _, err := cmd.Root().Find(args)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []entry
	for _, c := range about.Commands() {
		if c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			found = append(found, entry{c.Name(), c.Short})
		}
	}
	return offer(found, nil, typed), cobra.ShellCompDirectiveNoFileComp
}

// ToFlag completes the value of a flag, unless the command lacks the flag or
// completes it already.
func ToFlag(cmd *cobra.Command, flag string, complete Function) {
	_ = cmd.RegisterFlagCompletionFunc(flag, complete) // the error is one of these two
}
