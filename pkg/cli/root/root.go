// Package root assembles the commands of the plugin and runs them.
package root

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // authentication plugins of kubeconfigs

	"github.com/jindo-io/jindo/pkg/cli/check"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/cluster"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/create"
	"github.com/jindo-io/jindo/pkg/cli/get"
	"github.com/jindo-io/jindo/pkg/cli/inject"
	"github.com/jindo-io/jindo/pkg/cli/local"
	"github.com/jindo-io/jindo/pkg/cli/raft"
	"github.com/jindo-io/jindo/pkg/cli/remove"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/cli/status"
	"github.com/jindo-io/jindo/pkg/cli/tree"
	"github.com/jindo-io/jindo/pkg/cli/version"
	machine "github.com/jindo-io/jindo/pkg/local"
)

// IDs of the groups of commands.
const (
	groupView   = "view"
	groupChange = "change"
	groupRaft   = "raft"
	groupOther  = "other"
)

// Main runs the plugin with the arguments of the process and returns the exit
// code. The first interrupt ends the command's context; the second one ends the
// process, in case the command does not return.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Getenv:  os.Getenv,
		Name:    displayName(os.Args[0]),
		Self:    []string{selfPath()},
		Source:  source,
	}
	return Run(ctx, s, completion.Arguments(os.Args[0], os.Args[1:]))
}

// Run runs the plugin with the arguments and returns the exit code.
func Run(ctx context.Context, s *session.Session, args []string) int {
	cmd := New(s)
	if completion.Requested(args) {
		completion.Attach(s, cmd)
	}
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if failed := (*clierror.Error)(nil); errors.As(err, &failed) {
		failed.Try = s.Suggest(failed.Try)
	}
	clierror.Print(s.Streams.ErrOut, err)
	return clierror.Code(err)
}

// New returns the root command.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   strings.ReplaceAll(s.Name, " ", "-"),
		Short: "Manage Datasets and JindoRuntimes",
		Long:  "Manage Datasets and their JindoRuntimes, a distributed cache between object storage and pods.",
		Annotations: map[string]string{
			cobra.CommandDisplayNameAnnotation: s.Name,
		},
		SuggestionsMinimumDistance: suggestionDistance,
		SilenceErrors:              true,
		SilenceUsage:               true,
		Args:                       session.None,
		PersistentPreRun:           func(cmd *cobra.Command, _ []string) { s.SetCommand(cmd) },
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetIn(s.Streams.In)
	cmd.SetOut(s.Streams.Out)
	cmd.SetErr(s.Streams.ErrOut)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// A mistyped subcommand is reported, and not the flags that it would have.
		if err := session.None(cmd, cmd.Flags().Args()); err != nil && cmd.HasAvailableSubCommands() {
			return err
		}
		failed := flagError(err).WithTry("%s --help", cmd.CommandPath())
		if near := nearestFlag(cmd, err); near != "" {
			return failed.WithHint("did you mean --%s?", near)
		}
		return failed
	})
	s.AddFlags(cmd.PersistentFlags())
	cmd.AddGroup(
		&cobra.Group{ID: groupView, Title: "View:"}, &cobra.Group{ID: groupChange, Title: "Change:"},
		&cobra.Group{ID: groupRaft, Title: "Raft:"}, &cobra.Group{ID: groupOther, Title: "Other:"})
	add(cmd, groupView, status.New(s), get.New(s), tree.New(s))
	add(cmd, groupChange, create.New(s), create.NewApply(s), create.NewScale(s), create.NewSet(s), create.NewRollout(s), remove.New(s), local.New(s))
	add(cmd, groupChange, inject.New(s), inject.NewUninject(s))
	add(cmd, groupRaft, raft.New(s))
	add(cmd, groupOther, check.New(s), version.New(s), completion.New(s))
	setHelpCommand(cmd)
	cmd.SetCompletionCommandGroupID(groupOther)
	cmd.SetUsageFunc(usage)
	addTopics(cmd)
	suggest(cmd)
	return cmd
}

func add(parent *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		parent.AddCommand(c)
	}
}

// suggestionDistance is the number of mistyped letters up to which a command is
// suggested.
const suggestionDistance = 2

// suggest sets the suggestion distance of all commands.
func suggest(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = suggestionDistance
	for _, child := range cmd.Commands() {
		suggest(child)
	}
}

// flagError returns the error of parsing flags as an error of usage. The message
// of a value that checks itself is kept; those of strconv are replaced.
func flagError(err error) *clierror.Error {
	var failed *clierror.Error
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &failed):
		if errors.As(err, &invalid) {
			err = fmt.Errorf("--%s: %w", invalid.GetFlag().Name, failed.Err)
		}
		return &clierror.Error{Code: clierror.Usage, Err: err, Hint: failed.Hint}
	case errors.As(err, &invalid) && errors.Is(err, strconv.ErrRange):
		flag := invalid.GetFlag()
		return clierror.Usagef("invalid value %q for --%s: the number is out of range", invalid.GetValue(), flag.Name)
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		return clierror.Usagef("invalid value %q for --%s: want %s", invalid.GetValue(), flag.Name, typeOf(flag.Value.Type()))
	}
	return &clierror.Error{Code: clierror.Usage, Err: err}
}

// nearestFlag returns the flag of the command that an unknown one may have been
// meant for; "" if none is near.
func nearestFlag(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) <= suggestionDistance {
		return ""
	}
	best, distance := "", suggestionDistance+1
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if d := levenshtein.ComputeDistance(unknown.GetSpecifiedName(), flag.Name); d < distance && !flag.Hidden {
			best, distance = flag.Name, d
		}
	})
	return best
}

// typeOf describes a type of pflag.
func typeOf(name string) string {
	switch name {
	case "int", "int32", "int64", "uint", "uint16", "uint32", "uint64", "count":
		return "a whole number"
	case "float32", "float64":
		return "a number"
	case "bool":
		return "true or false"
	case "duration":
		return "a duration such as 30s or 5m"
	case "stringToString":
		return "KEY=VALUE"
	}
	return "a " + name
}

// displayName returns the program as it is typed: kubectl runs kubectl-jindo as
// "kubectl jindo".
func displayName(argv0 string) string {
	name := strings.TrimSuffix(filepath.Base(argv0), ".exe")
	name = strings.Replace(name, "kubectl_complete-", "kubectl-", 1)
	if rest, ok := strings.CutPrefix(name, "kubectl-"); ok {
		return "kubectl " + strings.ReplaceAll(rest, "_", "-")
	}
	return name
}

// selfPath returns a path that runs this program even after it was replaced on
// disk.
func selfPath() string {
	const linux = "/proc/self/exe"
	if _, err := os.Stat(linux); err == nil {
		return linux
	}
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}

// source returns the source of reports: the cluster, or with --local this machine.
func source(s *session.Session) (report.Source, error) {
	if !s.Local {
		return cluster.New(s)
	}
	root, err := machine.Root()
	if err != nil {
		return nil, err
	}
	return local.NewSource(root, s.RequestTimeout), nil
}
