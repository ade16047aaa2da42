package local

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/local"
)

type downOptions struct {
	session *session.Session
	purge   bool
	all     bool
}

func newDown(s *session.Session) *cobra.Command {
	o := &downOptions{session: s}
	cmd := &cobra.Command{
		Use:   "down [NAME]",
		Short: "Stop a local runtime and keep its data, unless --purge is given",
		Long: `Stop a local runtime and remove its processes, mount and sockets, even if its
supervisor was killed. Without a name it stops the only runtime of the namespace.
Data, logs and the record that the cluster was formed are kept unless --purge is
given.`,
		Args: session.AtMost(1, "the runtime"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	cmd.Flags().BoolVar(&o.purge, "purge", false, "also remove cached data, the masters' log and all other files")
	cmd.Flags().BoolVar(&o.all, "all", false, "stop every local runtime of the namespace")
	return cmd
}

func (o *downOptions) run(cmd *cobra.Command, args []string) error {
	layouts, err := o.choose(args)
	if err != nil {
		return err
	}
	if len(layouts) == 0 {
		o.session.Say("no local runtimes found in namespace %q", o.session.InNamespace())
	}
	for _, l := range layouts {
		ran, err := local.Down(cmd.Context(), l, o.purge)
		if err != nil {
			return clierror.Generalf("%w", err).WithHint("its supervisor's log is %s", l.Log("supervisor"))
		}
		result := "was not running"
		if ran {
			result = "stopped"
		}
		if o.purge {
			result += ", data removed"
		}
		if _, err := fmt.Fprintf(o.session.Streams.Out, "local runtime %s %s\n", l, result); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}

// named returns the runtime if it exists.
func (o *downOptions) named(l local.Layout) ([]local.Layout, error) {
	there, err := l.Exists()
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, clierror.Generalf("local runtime %q not found in namespace %q", l.Runtime, l.Namespace).
			WithTry("%s local status -A", o.session.Name)
	}
	return []local.Layout{l}, nil
}

// choose returns the runtimes to stop.
func (o *downOptions) choose(args []string) ([]local.Layout, error) {
	root, err := local.Root()
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		return o.named(local.NewLayout(root, o.session.InNamespace(), args[0]))
	}
	layouts, err := local.List(root, o.session.InNamespace())
	if err != nil {
		return nil, err
	}
	var left []local.Layout
	for _, l := range layouts {
		_, found, err := local.ReadState(l)
		if found || err != nil || o.purge {
			left = append(left, l)
		}
	}
	if len(left) > 1 && !o.all {
		return nil, clierror.Usagef("%d local runtimes found in namespace %q: give a name, or --all", len(left), o.session.InNamespace()).
			WithTry("%s local status", o.session.Name)
	}
	return left, nil
}
