package root

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// Common returns the names of the global flags that the help of every command
// shows. As in kubectl, the topic options lists all of them.
func Common() []string { return []string{"namespace", "request-timeout", "color"} }

// usage prints the part of help below the description of a command.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if cmd.Runnable() && (cmd.HasParent() || !cmd.HasAvailableSubCommands()) {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s [command]\n", cmd.CommandPath())
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "\nAliases:\n  %s\n", cmd.NameAndAliases())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	subcommands(&b, cmd)
	own, common := flagsOf(cmd)
	section(&b, "Flags:", own)
	section(&b, "Global flags:", common)
	topics(&b, cmd)
	root := cmd.Root().CommandPath()
	b.WriteString("\n")
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "Use \"%s [command] --help\" for more information about a command.\n", cmd.CommandPath())
	}
	fmt.Fprintf(&b, "Use \"%s options\" for the global flags.\n", root)
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

func subcommands(b *strings.Builder, cmd *cobra.Command) {
	list := func(title, group string) {
		first := true
		for _, c := range cmd.Commands() {
			if c.GroupID != group || !c.IsAvailableCommand() && c.Name() != "help" {
				continue
			}
			if first {
				fmt.Fprintf(b, "\n%s\n", title)
				first = false
			}
			fmt.Fprintf(b, "  %-*s %s\n", c.NamePadding(), c.Name(), c.Short)
		}
	}
	for _, group := range cmd.Groups() {
		list(group.Title, group.ID)
	}
	list("Commands:", "")
}

// topics lists the help topics, which are commands that cannot be run.
func topics(b *strings.Builder, cmd *cobra.Command) {
	if !cmd.HasHelpSubCommands() {
		return
	}
	b.WriteString("\nHelp topics:\n")
	for _, c := range cmd.Commands() {
		if c.IsAdditionalHelpTopicCommand() {
			fmt.Fprintf(b, "  %-*s %s\n", c.CommandPathPadding()+1, c.CommandPath(), c.Short)
		}
	}
}

func section(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if flags.HasAvailableFlags() {
		fmt.Fprintf(b, "\n%s\n%s\n", title, strings.TrimRight(flags.FlagUsages(), "\n "))
	}
}

// flagsOf returns the flags of a command, and the global flags that every command
// shows.
func flagsOf(cmd *cobra.Command) (own, common *pflag.FlagSet) {
	own, common = pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	global := cmd.Root().PersistentFlags()
	for _, name := range Common() {
		if flag := global.Lookup(name); flag != nil {
			common.AddFlag(flag)
		}
	}
	add := func(flag *pflag.Flag) {
		if global.Lookup(flag.Name) != flag {
			own.AddFlag(flag)
		}
	}
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return own, common
}

// topic returns a help topic; more is printed below the text.
func topic(name, short, long string, more func(cmd *cobra.Command, w io.Writer)) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Long: long}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		w := cmd.OutOrStdout()
		_, _ = io.WriteString(w, cmd.Long+"\n")
		if more != nil {
			more(cmd, w)
		}
	})
	return cmd
}

// setHelpCommand replaces cobra's help command, which prints the usage and succeeds
// for topics that do not exist.
func setHelpCommand(root *cobra.Command) {
	root.SetHelpCommand(&cobra.Command{
		Use:     "help [COMMAND | TOPIC]",
		Short:   "Help about any command",
		GroupID: groupOther,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || found == nil || len(rest) > 0 && found.HasAvailableSubCommands() {
				return clierror.Usagef("unknown help topic %q", strings.Join(args, " ")).WithTry("%s --help", root.CommandPath())
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	})
}

func addTopics(cmd *cobra.Command) {
	cmd.AddCommand(
		topic("options", "List of global flags", "These flags can be passed to every command.", func(cmd *cobra.Command, w io.Writer) {
			_, _ = io.WriteString(w, "\n"+cmd.Root().PersistentFlags().FlagUsages())
		}),
		topic("exit-codes", "Exit codes of all commands", exitCodes, nil),
		topic("environment", "Environment variables", environment, nil),
		topic("formats", "Output formats of -o", formats, nil),
	)
}

const (
	exitCodes = `Exit codes:
  0  success; with --exit-code also: healthy
  1  the command failed
  2  unknown command or flag, or invalid input
  3  the command succeeded and found something unhealthy, or members that disagree
  4  timeout: what was waited for is still pending`

	environment = `Environment:
  KUBECONFIG              kubeconfig files, as for kubectl; --kubeconfig takes precedence
  NO_COLOR                no colour if not empty; --color takes precedence
  CLICOLOR_FORCE          colour in pipes and files too, unless 0
  COLUMNS                 width of the output, instead of the terminal's
  TERM                    dumb means a terminal without colour
  LC_ALL, LC_CTYPE, LANG  the first one that is set decides whether Unicode is printed
  XDG_CACHE_HOME          directory of the local runtimes (local, --local)
  HTTPS_PROXY, NO_PROXY   proxy for the API server`

	formats = `Output formats of -o; the help of a command lists those that it accepts:
  table                  human-readable, as wide as the terminal; the default
  wide                   human-readable with every column, never truncated
  json, yaml, kyaml      a documented kind of apiVersion cli.jindo.io/v1alpha1, or a List of them
  name                   kind/name, one per line
  jsonpath=TEMPLATE      -o 'jsonpath={.health}'
  go-template=TEMPLATE   -o 'go-template={{.health}}'
  custom-columns=COLUMNS -o custom-columns=NAME:.metadata.name,HEALTH:.health

The result is printed to stdout, everything else to stderr. Formats for programs
have no colour and are never truncated.`
)
