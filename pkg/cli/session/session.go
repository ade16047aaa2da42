// Package session holds what the commands of one invocation share: the streams,
// the global flags, the connection to the cluster, and the source of reports.
package session

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

// DefaultNamespace is used if neither -n nor a context names a namespace.
const DefaultNamespace = "default"

// DefaultRequestTimeout is the default of --request-timeout.
const DefaultRequestTimeout = 5 * time.Second

// Session is one invocation of the plugin.
type Session struct {
	Streams genericiooptions.IOStreams
	Getenv  func(string) string
	// Name is the program as it is typed: "kubectl jindo".
	Name string
	// Self is the command line that runs this program again.
	Self []string

	Colour iostreams.ColourFlag
	// Namespace is the value of -n, or "".
	Namespace string
	// RequestTimeout bounds each request, and the time that a command waits for an
	// API server that does not respond.
	RequestTimeout time.Duration

	// inContext is the namespace of the kubeconfig's context, once it is read.
	inContext string
	// budget is shared by the requests of the command.
	budget *budget

	// Kube holds kubectl's flags that name a cluster.
	Kube *genericclioptions.ConfigFlags

	// Local is the value of --local: show runtimes on this machine.
	Local bool
	// hasLocal reports whether the command has --local.
	hasLocal bool

	// connection holds the given flags that name a cluster, as they are typed.
	connection string

	// Source returns the source of reports. It is called when a command first
	// needs it, so that help stays fast.
	Source func(*Session) (report.Source, error)
}

// AddFlags adds the global flags.
func (s *Session) AddFlags(flags *pflag.FlagSet) {
	s.Colour = iostreams.Auto
	flags.Var(&s.Colour, "color", "whether to use colour; NO_COLOR and CLICOLOR_FORCE are respected")
	s.RequestTimeout = DefaultRequestTimeout
	flags.Var(timeout{&s.RequestTimeout}, "request-timeout", "how long to wait for the API server and for each member; 0 waits without limit")
	s.Kube = genericclioptions.NewConfigFlags(true)
	s.Kube.Timeout = nil // replaced by RequestTimeout
	s.Kube.Namespace = &s.Namespace
	s.Kube.AddFlags(flags)
	addVerbosity(flags)
}

// addVerbosity adds kubectl's -v, the log level of client-go.
func addVerbosity(flags *pflag.FlagSet) {
	var all flag.FlagSet
	klog.InitFlags(&all)
	verbosity := pflag.PFlagFromGoFlag(all.Lookup("v"))
	verbosity.Shorthand, verbosity.Usage = "v", "log level of requests to the API server, 0 to 9"
	flags.AddFlag(verbosity)
}

// AddLocalFlag adds --local to a command that can show local runtimes too.
func (s *Session) AddLocalFlag(flags *pflag.FlagSet) {
	flags.BoolVar(&s.Local, "local", false, "use the runtimes on this machine instead of a cluster's")
}

// SetCommand records the command that runs, for hints about its flags.
func (s *Session) SetCommand(cmd *cobra.Command) {
	s.hasLocal = cmd.Flags().Lookup("local") != nil
	s.connection = connectionOf(cmd)
}

// Screen returns the properties of the stream that the result goes to.
func (s *Session) Screen() iostreams.Screen {
	return iostreams.Detect(s.Streams.Out, s.Colour, s.Getenv)
}

// InNamespace returns the namespace of -n or, once [Session.Cluster] has
// connected, of the context.
func (s *Session) InNamespace() string {
	switch {
	case s.Namespace != "":
		return s.Namespace
	case s.inContext != "":
		return s.inContext
	}
	return DefaultNamespace
}

// Say prints a line of progress, a warning or a hint on standard error.
func (s *Session) Say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Streams.ErrOut, format+"\n", args...)
}

// Find returns the runtime with the name, or the one that serves the Dataset with
// it. The name may have the form TYPE/NAME. Without a name it returns the only
// runtime of the namespace.
func (s *Session) Find(ctx context.Context, source report.Source, name string) (*report.Runtime, error) {
	refs, err := source.Runtimes(ctx, s.InNamespace())
	if err != nil {
		return nil, err
	}
	name = TrimType(name)
	if name == "" {
		switch len(refs) {
		case 0:
			return nil, s.noRuntimes()
		case 1:
			return source.Collect(ctx, refs[0])
		}
		return nil, clierror.Usagef("%d runtimes in namespace %q: name one of them", len(refs), s.InNamespace()).
			WithTry("%s status%s", s.Name, s.localFlag())
	}
	for _, ref := range refs {
		if ref.Name == name || ref.Dataset == name {
			return source.Collect(ctx, ref)
		}
	}
	return nil, s.notFound(ctx, source, name)
}

func (s *Session) noRuntimes() error {
	if s.Local {
		return clierror.Generalf("no local runtimes in namespace %q", s.InNamespace()).
			WithTry("%s local up -f dataset.yaml -f runtime.yaml", s.Name)
	}
	return clierror.Generalf("no Datasets or JindoRuntimes in namespace %q", s.InNamespace()).
		WithHint("-A shows those of all namespaces").
		WithTry("%s status -A", s.Name)
}

func (s *Session) localFlag() string {
	if s.Local {
		return " --local"
	}
	return ""
}

func (s *Session) notFound(ctx context.Context, source report.Source, name string) error {
	failed := clierror.Generalf("dataset or runtime %q not found in namespace %q", name, s.InNamespace())
	everywhere, err := source.Runtimes(ctx, "")
	if err != nil {
		return failed
	}
	for _, ref := range everywhere {
		if ref.Name == name || ref.Dataset == name {
			return failed.WithHint("it is in %q: add -n %s", ref.Namespace, ref.Namespace)
		}
	}
	return failed.WithTry("%s status -A%s", s.Name, s.localFlag())
}

// AtMost accepts up to n arguments; what describes them.
func AtMost(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return clierror.Usagef("%s takes at most %d argument (%s), got %d", cmd.CommandPath(), n, what, len(args)).
				WithTry("%s --help", cmd.CommandPath())
		}
		return nil
	}
}

// Exactly accepts n arguments; what describes them.
func Exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return clierror.Usagef("%s takes %d argument (%s), got %d", cmd.CommandPath(), n, what, len(args)).
				WithTry("%s --help", cmd.CommandPath())
		}
		return nil
	}
}

// None accepts no arguments. If the command has subcommands, the argument is taken
// for an unknown one.
func None(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
	case cmd.HasAvailableSubCommands():
		failed := clierror.Usagef("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return failed.WithTry("%s", strings.Join(append([]string{cmd.CommandPath(), near[0]}, args[1:]...), " "))
		}
		return failed.WithTry("%s --help", cmd.CommandPath())
	default:
		return clierror.Usagef("%s takes no arguments, got %q", cmd.CommandPath(), args).WithTry("%s --help", cmd.CommandPath())
	}
	return nil
}
