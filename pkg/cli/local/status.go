package local

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/local"
)

// ProcessListKind is the kind of a ProcessList.
const ProcessListKind = "LocalRuntimeList"

// ProcessList is the output of `local status -o json`: the processes of local
// runtimes, as their supervisors have recorded them.
type ProcessList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items, ordered by namespace and name.
	Items []Processes `json:"items"`
}

func newProcessList() *ProcessList {
	return &ProcessList{TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: ProcessListKind}, Items: []Processes{}}
}

// Processes is the state of the processes of one local runtime.
type Processes struct {
	local.State `json:",inline"`
	// Running means that its supervisor runs.
	Running bool `json:"running"`
	// Directory of its state, data and logs.
	Directory string `json:"directory"`
}

// DeepCopyObject implements runtime.Object; what the list points to is never
// changed.
func (l *ProcessList) DeepCopyObject() runtime.Object {
	c := *l
	return &c
}

// GetObjectKind implements runtime.Object.
func (l *ProcessList) GetObjectKind() schema.ObjectKind { return &l.TypeMeta }

type statusOptions struct {
	session       *session.Session
	format        *output.Format
	allNamespaces bool
	noHeaders     bool
}

func newStatus(s *session.Session) *cobra.Command {
	o := &statusOptions{session: s, format: output.New(output.Table, output.Wide)}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show the processes of local runtimes, and stopped runtimes with kept data",
		Args:  session.AtMost(1, "the runtime"),
		RunE:  func(_ *cobra.Command, args []string) error { return o.run(args) },
	}
	o.format.AddFlag(cmd.Flags())
	cmd.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "list across all namespaces")
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "omit the header")
	return cmd
}

func (o *statusOptions) run(args []string) error {
	if err := o.format.Validate(); err != nil {
		return err
	}
	list, err := o.list(args)
	if err != nil {
		return err
	}
	if !o.format.HumanReadable() {
		names := make([]string, len(list.Items))
		for i, p := range list.Items {
			names[i] = "localruntime/" + p.Runtime
		}
		return o.format.Print(o.session.Streams.Out, list, names...)
	}
	if len(list.Items) == 0 {
		if o.allNamespaces {
			o.session.Say("no local runtimes found")
		} else {
			o.session.Say("no local runtimes found in namespace %q", o.session.InNamespace())
		}
		return nil
	}
	for i, p := range list.Items {
		if i > 0 {
			if _, err := fmt.Fprintln(o.session.Streams.Out); err != nil {
				return fmt.Errorf("printing: %w", err)
			}
		}
		if err := o.draw(p); err != nil {
			return err
		}
	}
	return nil
}

func (o *statusOptions) list(args []string) (*ProcessList, error) {
	root, err := local.Root()
	if err != nil {
		return nil, err
	}
	namespace := o.session.InNamespace()
	if o.allNamespaces {
		namespace = ""
	}
	layouts, err := local.List(root, namespace)
	if err != nil {
		return nil, err
	}
	list := newProcessList()
	for _, l := range layouts {
		if len(args) == 1 && l.Runtime != args[0] {
			continue
		}
		state, found, err := local.ReadState(l)
		if err != nil {
			return nil, err
		}
		if !found {
			state = stopped(l)
		}
		list.Items = append(list.Items, Processes{State: state, Running: local.Running(state), Directory: l.Dir})
	}
	if len(args) == 1 && len(list.Items) == 0 {
		return nil, clierror.Generalf("local runtime %q not found in namespace %q", args[0], o.session.InNamespace()).
			WithTry("%s local status -A", o.session.Name)
	}
	return list, nil
}

// stopped is the state of a runtime that was stopped and whose data is kept.
func stopped(l local.Layout) local.State {
	return local.State{
		Version: local.StateVersion, Namespace: l.Namespace, Runtime: l.Runtime, Phase: local.Stopped,
		Components: []local.ComponentState{}, Conditions: []local.Condition{},
	}
}

func (o *statusOptions) draw(p Processes) error {
	phase := string(p.Phase)
	down := o.session.Name + " local down " + p.Runtime + namespaceFlag(p.Namespace)
	switch {
	case p.Phase == local.Stopped:
		_, err := fmt.Fprintf(o.session.Streams.Out, "%s/%s   %s   %s\n  `%s --purge` removes its data\n", p.Namespace, p.Runtime, phase, p.Directory, down)
		if err != nil {
			return fmt.Errorf("printing: %w", err)
		}
		return nil
	case !p.Running:
		phase = "Killed (`" + down + "` removes what is left)"
	}
	_, err := fmt.Fprintf(o.session.Streams.Out, "%s/%s   %s   %s   %s\n", p.Namespace, p.Runtime, phase, p.Network, p.Directory)
	if err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	t := printer.Table{
		Indent: "  ", NoHeaders: o.noHeaders, Wide: o.format.Is(output.Wide),
		Columns: []printer.Column{
			{Title: "COMPONENT"},
			{Title: "PID", Right: true},
			{Title: "STARTS", Right: true},
			{Title: "AGE", Right: true},
			{Title: "HEALTH", Drop: 2},
			{Title: "LAST EXIT", Drop: 1},
			{Title: "LOG", Wide: true},
		},
	}
	for _, c := range p.Components {
		pid, age := printer.None, printer.None
		if c.Process.PID > 0 {
			pid, age = strconv.Itoa(c.Process.PID), printer.Age(c.Since, time.Now())
		}
		last := c.LastExit
		if last == "" {
			last = printer.None
		}
		t.Add(c.Name, pid, strconv.Itoa(c.Starts), age, c.Health, last, c.Log)
	}
	if err := t.Write(o.session.Streams.Out, o.session.Screen()); err != nil {
		return err
	}
	for _, c := range p.Missing() {
		if _, err := fmt.Fprintf(o.session.Streams.Out, "  waiting for %s: %s\n", c.Name, c.Detail); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}
