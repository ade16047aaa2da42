// Package root puts the plugin's commands together.
package root

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubeconfigs name them

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

// Groups of commands.
const (
	groupLook = "look"
	groupWork = "work"
	groupRaft = "raft"
	groupFix  = "fix"
)

// Main runs the plugin with this process's arguments and answers its exit
// code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Getenv:  os.Getenv,
		Name:    displayName(os.Args[0]),
		Self:    []string{selfPath()},
		Source:  source,
	}
	return Run(ctx, s, completion.Arguments(os.Args[0], os.Args[1:]))
}

// Run runs the plugin and answers its exit code.
func Run(ctx context.Context, s *session.Session, args []string) int {
	cmd := New(s)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	clierror.Print(s.Streams.ErrOut, err)
	return clierror.Code(err)
}

// New makes the root command.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   strings.ReplaceAll(s.Name, " ", "-"),
		Short: "Look after Datasets and JindoRuntimes",
		Long:  "Look after Datasets and their JindoRuntimes: a distributed cache between object storage and those who read.",
		Annotations: map[string]string{
			cobra.CommandDisplayNameAnnotation: s.Name,
		},
		SuggestionsMinimumDistance: 2,
		SilenceErrors:              true,
		SilenceUsage:               true,
		Args:                       unknownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetIn(s.Streams.In)
	cmd.SetOut(s.Streams.Out)
	cmd.SetErr(s.Streams.ErrOut)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return asUsage(err).WithTry("%s --help", cmd.CommandPath())
	})
	s.AddFlags(cmd.PersistentFlags())
	cmd.AddGroup(
		&cobra.Group{ID: groupLook, Title: "Look:"}, &cobra.Group{ID: groupWork, Title: "Work:"},
		&cobra.Group{ID: groupRaft, Title: "Raft:"}, &cobra.Group{ID: groupFix, Title: "More:"})
	add(cmd, groupLook, status.New(s), get.New(s), tree.New(s))
	add(cmd, groupWork, create.New(s), remove.New(s), local.New(s))
	add(cmd, groupWork, inject.New(s), inject.NewUninject(s))
	add(cmd, groupRaft, raft.New(s))
	add(cmd, groupFix, check.New(s), version.New(s), completion.New(s))
	cmd.SetHelpCommandGroupID(groupFix)
	cmd.SetCompletionCommandGroupID(groupFix)
	cmd.SetUsageFunc(usage)
	addTopics(cmd)
	completion.Attach(s, cmd)
	return cmd
}

func add(parent *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		parent.AddCommand(c)
	}
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	failed := clierror.Usagef("%q is no command of %s", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return failed.WithTry("%s %s", cmd.CommandPath(), near[0])
	}
	return failed.WithTry("%s --help", cmd.CommandPath())
}

// asUsage keeps what a flag's value said about itself.
func asUsage(err error) *clierror.Error {
	var failed *clierror.Error
	if errors.As(err, &failed) {
		return &clierror.Error{Code: clierror.Usage, Err: err, Hint: failed.Hint}
	}
	return &clierror.Error{Code: clierror.Usage, Err: err}
}

// displayName is how people type the program: kubectl runs kubectl-jindo as
// "kubectl jindo".
func displayName(argv0 string) string {
	name := strings.TrimSuffix(filepath.Base(argv0), ".exe")
	name = strings.Replace(name, "kubectl_complete-", "kubectl-", 1)
	if rest, ok := strings.CutPrefix(name, "kubectl-"); ok {
		return "kubectl " + strings.ReplaceAll(rest, "_", "-")
	}
	return name
}

// selfPath runs this program again even after it was replaced on disk.
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

// source of reports: the cluster, or with --local this machine.
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
