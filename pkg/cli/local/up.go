package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/local"
	"github.com/jindo-io/jindo/pkg/plan"
)

// sourceURL is where the programs that up starts can be built from.
const sourceURL = "https://github.com/jindo-io/jindo"

type upOptions struct {
	session    *session.Session
	sources    manifest.Sources
	mountpoint string
	noMount    bool
	binDir     string
	timeout    time.Duration
	skipStores bool
	// dataset that the runtime serves; nil when the manifests hold none.
	dataset *v1alpha1.Dataset
}

func newUp(s *session.Session) *cobra.Command {
	o := &upOptions{session: s}
	cmd := &cobra.Command{
		Use:   "up -f FILE...",
		Short: "Start the runtime of the manifests on this machine and mount it",
		Long: `Start the runtime of the manifests on this machine and mount it.

Before anything is started, up reads from the store of every mount with the given
credentials, and checks the mount point and the data of earlier runs. If a check
fails, nothing is left running.

If the runtime runs with the same manifests, up only waits. An edit of
spec.master.replicas is carried out while it serves; other edits are refused until
the runtime is stopped with down.`,
		Example: "  " + s.Name + " local up -f dataset.yaml -f runtime.yaml",
		Args:    session.None,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.sources.AddFlags(cmd.Flags(), "files, directories or URLs with the manifests of a JindoRuntime, its Dataset and their Secrets; - is standard input")
	cmd.Flags().StringVar(&o.mountpoint, "mountpoint", "", "directory to mount at, empty or to be created (default: below the state directory)")
	cmd.Flags().BoolVar(&o.skipStores, "skip-store-check", false, "start although a store may be unreachable, for example to read cached files offline")
	cmd.Flags().BoolVar(&o.noMount, "no-mount", false, "run everything except the FUSE mount")
	cmd.Flags().StringVar(&o.binDir, "bin-dir", "", "directory with master, worker and fuse (default: beside this program, then jindo-master … on PATH)")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long to wait until everything is ready")
	return cmd
}

func (o *upOptions) run(cmd *cobra.Command) error {
	if o.timeout <= 0 {
		return clierror.Usagef("invalid --timeout %s: it must be greater than 0", o.timeout)
	}
	spec, err := o.spec(cmd)
	if err != nil {
		return err
	}
	progress := &progress{session: o.session}
	state, err := local.Up(cmd.Context(), local.UpOptions{
		Spec: spec, Self: hiddenWords(o.session),
		Timeout: o.timeout, SkipStoreCheck: o.skipStores, Progress: progress.show,
	})
	var pending *local.PendingError
	if err == nil || errors.As(err, &pending) {
		for _, notice := range state.Notices {
			o.session.Say("note: %s", notice)
		}
	}
	if err != nil {
		return o.explain(spec, err)
	}
	return o.report(spec, state)
}

// spec returns what to run: the plan of the manifests with its credentials.
func (o *upOptions) spec(cmd *cobra.Command) (local.Spec, error) {
	if o.sources.IsEmpty() {
		return local.Spec{}, clierror.Usagef("required flag -f (--filename) is missing: give the manifests to run").WithTry("%s -f dataset.yaml -f runtime.yaml", cmd.CommandPath())
	}
	o.sources.Timeout = o.session.RequestTimeout
	set, err := manifest.Read(cmd.Context(), manifest.Options{
		Sources: o.sources, Stdin: o.session.Streams.In,
		Namespace: o.session.Namespace, DefaultNamespace: o.session.InNamespace(),
	})
	if err != nil {
		return local.Spec{}, err
	}
	p, err := o.plan(set)
	if err != nil {
		return local.Spec{}, err
	}
	secrets, err := set.Credentials(p)
	if err != nil {
		return local.Spec{}, err
	}
	root, err := local.Root()
	if err != nil {
		return local.Spec{}, err
	}
	spec := local.Spec{Plan: *p, Root: root, Secrets: secrets, NoMount: o.noMount}
	if o.mountpoint != "" {
		if spec.Mountpoint, err = filepath.Abs(o.mountpoint); err != nil {
			return local.Spec{}, fmt.Errorf("finding the mount point: %w", err)
		}
	}
	spec.Binaries, err = local.FindBinaries(o.binDir, spec.BinaryNames())
	return spec, o.explainMissing(err)
}

// plan returns the plan of the only runtime in the manifests and its Dataset.
func (o *upOptions) plan(set *manifest.Set) (*plan.Plan, error) {
	if len(set.Runtimes) != 1 {
		return nil, clierror.Usagef("the manifests contain %d JindoRuntimes, but exactly one is required", len(set.Runtimes)).
			WithTry("%s create runtime NAME --dry-run=client -o yaml", o.session.Name)
	}
	runtime := set.Runtimes[0]
	dataset := plan.Find(set.Datasets, runtime)
	if dataset == nil && len(set.Datasets) > 0 {
		dataset = set.Datasets[0]
	}
	o.dataset = dataset
	p, err := plan.BuildLocal(dataset, runtime)
	if err != nil {
		return nil, &clierror.Error{Code: clierror.Usage, Err: err}
	}
	if p.Masters == nil || p.Workers == nil {
		return nil, clierror.Usagef("JindoRuntime %q has disabled masters or workers, which is not supported on one machine yet", runtime.Name).
			WithHint("remove disabled under master and worker")
	}
	return p, nil
}

func (o *upOptions) explainMissing(err error) error {
	var missing *local.MissingError
	if !errors.As(err, &missing) {
		return err
	}
	failed := clierror.Generalf("%w", err)
	return failed.WithHint("build them with `make build` in a clone of %s and give its directory bin with --bin-dir", sourceURL)
}

// explain converts an error of Up to one that says what to do.
func (o *upOptions) explain(spec local.Spec, err error) error {
	name := spec.Plan.Name
	namespace := namespaceFlag(spec.Plan.Namespace)
	var pending *local.PendingError
	var mountpoint *local.MountpointError
	var stores local.StoreErrors
	switch {
	case errors.As(err, &stores):
		return o.explainStores(&spec.Plan, stores)
	case errors.As(err, &mountpoint):
		return (&clierror.Error{Code: clierror.Usage, Err: err}).
			WithHint("give an empty directory, or one that does not exist yet, with --mountpoint")
	case errors.As(err, &pending):
		for _, excerpt := range pending.Logs {
			o.session.Say("last lines of %s:\n  %s", excerpt.Component, strings.Join(excerpt.Lines, "\n  "))
		}
		return (&clierror.Error{Code: clierror.TimedOut, Err: fmt.Errorf("local runtime %s: %w", name, err)}).
			WithHint("its processes keep running and may still become ready; `%s local down %s%s` stops them", o.session.Name, name, namespace).
			WithTry("%s local status %s%s", o.session.Name, name, namespace)
	case errors.Is(err, local.ErrOther):
		return clierror.Generalf("%w", err).WithTry("%s local down %s%s", o.session.Name, name, namespace)
	case errors.Is(err, local.ErrNoMount):
		return clierror.Generalf("%w", err).WithHint("add --no-mount to run everything else; `jindo fs` then reads the files")
	case errors.Is(err, context.Canceled):
		return clierror.Generalf("interrupted: everything that was started has been stopped")
	}
	return clierror.Generalf("local runtime %s: %w", name, err)
}

// namespaceFlag returns the flag, with a space before it, that selects a
// namespace; "" for the default one.
func namespaceFlag(namespace string) string {
	if namespace == session.DefaultNamespace {
		return ""
	}
	return " -n " + namespace
}

// report prints what runs and the commands to see and stop it.
func (o *upOptions) report(spec local.Spec, state local.State) error {
	screen := o.session.Screen()
	var out strings.Builder
	if state.Dataset != "" {
		fmt.Fprintf(&out, "dataset.%s/%s and ", v1alpha1.Group, state.Dataset)
	}
	fmt.Fprintf(&out, "jindoruntime.%s/%s run on this machine (%s)\n", v1alpha1.Group, state.Runtime, state.Network)
	if !o.skipStores && len(spec.Plan.Mounts) > 0 {
		fmt.Fprintf(&out, "  %s %-8s %d of %d can be read\n", screen.Mark(iostreams.Good), "stores", len(spec.Plan.Mounts), len(spec.Plan.Mounts))
	}
	for _, c := range state.Conditions {
		fmt.Fprintf(&out, "  %s %-8s %s\n", screen.Mark(iostreams.Good), c.Name, c.Detail)
	}
	namespace := namespaceFlag(state.Namespace)
	fmt.Fprintf(&out, "show: %s status %s%s --local\nstop: %s local down %s%s\n",
		o.session.Name, state.Runtime, namespace, o.session.Name, state.Runtime, namespace)
	if _, err := fmt.Fprint(o.session.Streams.Out, out.String()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// progress prints a line when another condition holds.
type progress struct {
	session *session.Session
	printed map[string]bool
}

func (p *progress) show(state local.State) {
	if p.printed == nil {
		p.printed = map[string]bool{}
	}
	for _, c := range state.Conditions {
		if c.Met && !p.printed[c.Name] {
			p.printed[c.Name] = true
			p.session.Say("%s: %s", c.Name, c.Detail)
		}
	}
}
