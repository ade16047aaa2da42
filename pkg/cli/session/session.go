// Package session is what every command of one invocation shares: the streams,
// the global flags, where reports come from.
package session

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

// DefaultNamespace is where things are unless somebody says otherwise.
const DefaultNamespace = "default"

// DefaultRequestTimeout of one remote call.
const DefaultRequestTimeout = 5 * time.Second

// Session of one invocation.
type Session struct {
	Streams genericiooptions.IOStreams
	Getenv  func(string) string
	// Name of the program as people type it: "kubectl jindo".
	Name string
	// Self are the words that run this program again.
	Self []string

	Colour iostreams.ColourFlag
	// Namespace that was asked for; "" when none was.
	Namespace string
	// RequestTimeout of each remote call.
	RequestTimeout time.Duration

	// inContext is the namespace of the kubeconfig's context, once it was read.
	inContext string

	// Kube are the global flags that name a cluster, as kubectl has them.
	Kube *genericclioptions.ConfigFlags

	// Local says to look at what runs on this machine, not at a cluster.
	Local bool

	// Source of reports. It is made when a command first needs it, so that
	// help costs nothing.
	Source func(*Session) (report.Source, error)
}

// AddFlags adds the global flags.
func (s *Session) AddFlags(flags *pflag.FlagSet) {
	s.Colour = iostreams.Auto
	flags.Var(&s.Colour, "color", "colour of the screens; NO_COLOR and CLICOLOR_FORCE are obeyed")
	s.RequestTimeout = DefaultRequestTimeout
	flags.Var(timeout{&s.RequestTimeout}, "request-timeout", "how long each request and each member may take to answer; 0 is without limit")
	s.Kube = genericclioptions.NewConfigFlags(true)
	s.Kube.Timeout = nil // ours is a duration, of every target
	s.Kube.Namespace = &s.Namespace
	s.Kube.AddFlags(flags)
}

// AddLocalFlag adds --local to a command that can look at this machine too.
func (s *Session) AddLocalFlag(flags *pflag.FlagSet) {
	flags.BoolVar(&s.Local, "local", false, "look at what runs on this machine, not at a cluster")
}

// Screen that the result goes to.
func (s *Session) Screen() iostreams.Screen {
	return iostreams.Detect(s.Streams.Out, s.Colour, s.Getenv)
}

// InNamespace is the namespace to work in: the one that was asked for, else the
// context's once [Session.Cluster] has connected.
func (s *Session) InNamespace() string {
	switch {
	case s.Namespace != "":
		return s.Namespace
	case s.inContext != "":
		return s.inContext
	}
	return DefaultNamespace
}

// Say writes a line of progress, a warning or a hint, which is no result.
func (s *Session) Say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Streams.ErrOut, format+"\n", args...)
}

// Find the runtime with this name, or the one that serves the Dataset of this
// name; with no name the only one there is.
func (s *Session) Find(ctx context.Context, source report.Source, name string) (*report.Runtime, error) {
	refs, err := source.Runtimes(ctx, s.InNamespace())
	if err != nil {
		return nil, err
	}
	if name == "" {
		switch len(refs) {
		case 0:
			return nil, s.nothing()
		case 1:
			return source.Collect(ctx, refs[0])
		}
		return nil, clierror.Usagef("there are %d runtimes in namespace %q: name one", len(refs), s.InNamespace()).
			WithTry("%s status%s", s.Name, s.localFlag())
	}
	for _, ref := range refs {
		if ref.Name == name || ref.Dataset == name {
			return source.Collect(ctx, ref)
		}
	}
	return nil, s.notFound(ctx, source, name)
}

// nothing there is, and what to do about it.
func (s *Session) nothing() error {
	if s.Local {
		return clierror.Generalf("nothing runs on this machine in namespace %q", s.InNamespace()).
			WithTry("%s local up -f dataset.yaml -f runtime.yaml", s.Name)
	}
	return clierror.Generalf("there is no Dataset and no JindoRuntime in namespace %q", s.InNamespace()).
		WithHint("they may be in another namespace: see all with -A").
		WithTry("%s status -A", s.Name)
}

func (s *Session) localFlag() string {
	if s.Local {
		return " --local"
	}
	return ""
}

func (s *Session) notFound(ctx context.Context, source report.Source, name string) error {
	failed := clierror.Generalf("no dataset or runtime %q in namespace %q", name, s.InNamespace())
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

// AtMost takes up to n arguments; what says what they are.
func AtMost(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return clierror.Usagef("%s takes at most %d argument (%s), not %d", cmd.CommandPath(), n, what, len(args)).
				WithTry("%s --help", cmd.CommandPath())
		}
		return nil
	}
}

// Exactly takes n arguments; what says what they are.
func Exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return clierror.Usagef("%s takes %d argument (%s), not %d", cmd.CommandPath(), n, what, len(args)).
				WithTry("%s --help", cmd.CommandPath())
		}
		return nil
	}
}

// None takes no arguments.
func None(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return clierror.Usagef("%s takes no arguments, got %q", cmd.CommandPath(), args).WithTry("%s --help", cmd.CommandPath())
	}
	return nil
}
