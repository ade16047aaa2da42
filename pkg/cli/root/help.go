package root

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Common are the names of the global flags that every command's help shows; the
// others are in the topic options, as kubectl does it.
func Common() []string { return []string{"namespace", "request-timeout", "color"} }

// usage writes what help says below a command's description.
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
	section(&b, "Flags of every command:", common)
	topics(&b, cmd)
	root := cmd.Root().CommandPath()
	b.WriteString("\n")
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "Use \"%s [command] --help\" for more information about a command.\n", cmd.CommandPath())
	}
	fmt.Fprintf(&b, "Use \"%s options\" for flags of all commands.\n", root)
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

// topics of help that are no commands.
func topics(b *strings.Builder, cmd *cobra.Command) {
	if !cmd.HasHelpSubCommands() {
		return
	}
	b.WriteString("\nTopics of help:\n")
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

// flagsOf a command: its own, and the global ones that are shown everywhere.
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

// topic of help: it runs nothing. more is written below the text.
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

func addTopics(cmd *cobra.Command) {
	cmd.AddCommand(
		topic("options", "Flags of all commands", "These flags can be given to every command.", func(cmd *cobra.Command, w io.Writer) {
			_, _ = io.WriteString(w, "\n"+cmd.Root().PersistentFlags().FlagUsages())
		}),
		topic("exit-codes", "What the exit codes mean", exitCodes, nil),
		topic("environment", "Variables that are obeyed", environment, nil),
		topic("formats", "What -o can be", formats, nil),
	)
}

const (
	exitCodes = `Exit codes:
  0  done; with --exit-code: healthy
  1  the command failed
  2  the command was not understood, or its input is not valid
  3  it worked, and what it looked at is not healthy, or members disagree
  4  the time was up while something was still pending`

	environment = `Environment:
  KUBECONFIG              kubeconfig files, as for kubectl; --kubeconfig goes before it
  NO_COLOR                no colour if it is not empty; --color goes before it
  CLICOLOR_FORCE          colour into pipes and files too, unless it is 0
  COLUMNS                 width of the screens, instead of the terminal's
  TERM                    dumb is a terminal without colour
  LC_ALL, LC_CTYPE, LANG  the first that is set says whether screens may have Unicode
  XDG_CACHE_HOME          what runs on this machine (local, --local) is kept below it
  HTTPS_PROXY, NO_PROXY   how the API server is reached`

	formats = `Formats of -o; which of them a command takes is in its help:
  table                  for people; as wide as the terminal. This is the default
  wide                   for people, with all there is; never cut
  json, yaml, kyaml      a documented kind of apiVersion cli.jindo.io/v1alpha1, or a List of them
  name                   kind/name, a line each
  jsonpath=TEMPLATE      -o 'jsonpath={.health}'
  go-template=TEMPLATE   -o 'go-template={{.health}}'

The result is on stdout and everything else on stderr. What machines read has no
colour and is not cut to the terminal.`
)
