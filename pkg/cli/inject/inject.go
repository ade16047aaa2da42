// Package inject provides the commands inject, uninject and inject explain: they add
// sidecars to manifests, remove them, and explain why a pod has one or not. Plans
// come from the function that the webhook uses, so the results are the same.
package inject

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/admission/lookup"
	sidecar "github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

type options struct {
	sources       manifest.Sources
	diff, offline bool
	image         string
}

func (o *options) addFlags(cmd *cobra.Command) {
	o.sources.AddFlags(cmd.Flags(), "files, directories or URLs with manifests; - is standard input")
	cmd.Flags().BoolVar(&o.diff, "diff", false, "print a diff instead of the manifest")
}

// New returns the inject command.
func New(s *session.Session) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "inject -f FILE",
		Short: "Add sidecars to a manifest",
		Long: `Add to a manifest the sidecars that the webhook would add to its pods. Nothing is
changed in the cluster.

Pods, and the templates of Deployments, StatefulSets, DaemonSets, ReplicaSets,
ReplicationControllers, Jobs and CronJobs, get the sidecar if their labels request
it; everything else in the manifest is kept byte for byte. The manifest is printed
to standard output, a report to standard error.

Datasets and JindoRuntimes are read from the manifests, and from the cluster if
they are not among them. Nothing is printed if a pod is rejected.`,
		Example: fmt.Sprintf(`  %[1]s inject -f train.yaml --diff
  %[1]s inject -f train.yaml -f dataset.yaml --offline
  kubectl kustomize . | %[1]s inject -f - | kubectl apply -f -`, s.Name),
		Args: session.None,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.inject(cmd.Context(), s) },
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.offline, "offline", false, "use the manifests only; claims without a Dataset among them are not changed")
	cmd.Flags().StringVar(&o.image, "image", "", "image of the sidecar if the JindoRuntime has none (default: the webhook's, if it can be read)")
	cmd.AddCommand(newExplain(s))
	return cmd
}

// NewUninject returns the uninject command.
func NewUninject(s *session.Session) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "uninject -f FILE",
		Short: "Remove sidecars from a manifest",
		Long: `Remove from a manifest what inject added: the sidecar, its volume, and its
annotations. Everything else is kept byte for byte. The manifest is printed to
standard output, a report to standard error.`,
		Example: fmt.Sprintf("  kubectl get deployment train -o yaml | %s uninject -f -", s.Name),
		Args:    session.None,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.edit(cmd.Context(), s, "uninject", func(t *target) (*sidecar.Result, error) { return sidecar.Remove(t.pod) })
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *options) inject(ctx context.Context, s *session.Session) error {
	var found *finder
	return o.edit(ctx, s, "inject", func(t *target) (*sidecar.Result, error) {
		if found == nil {
			found = newFinder(s, t.stream, o)
		}
		return found.plan(ctx, t)
	})
}

// edit changes all pods of the manifests by the plans that decide returns, and
// prints the manifests.
func (o *options) edit(ctx context.Context, s *session.Session, verb string, decide func(*target) (*sidecar.Result, error)) error {
	if o.sources.IsEmpty() {
		return clierror.Usagef("nothing to %s: give -f FILE", verb).WithTry("%s %s -f FILE", s.Name, verb)
	}
	o.sources.Timeout = s.RequestTimeout
	stream, err := readStream(ctx, &o.sources, s.Streams.In)
	if err != nil {
		return err
	}
	counts := tally{}
	for _, t := range stream.targets() {
		result, err := decide(t)
		var refused *sidecar.Refusal
		var unknown *lookup.Unknown
		switch {
		case errors.As(err, &refused), errors.As(err, &unknown):
			s.Say("error: %s: %v", t.ref(), err)
			counts.refused++
			continue
		case err != nil:
			return err
		}
		if err := t.apply(result.Operations); err != nil {
			return fmt.Errorf("%s: %w", t.ref(), err)
		}
		counts.add(s, t, result)
	}
	if counts.refused > 0 {
		return clierror.Generalf("%s rejected: nothing was printed", pods(counts.refused)).WithHint("the webhook rejects the same pods")
	}
	s.Say("%s", counts.String())
	return o.print(s.Streams.Out, stream)
}

func (o *options) print(w io.Writer, stream *stream) error {
	var out []byte
	for _, d := range stream.documents {
		if o.diff {
			after, err := d.bytes()
			if err != nil {
				return err
			}
			out = append(out, diff.Diff(d.name, d.raw, d.name+" ("+names.SidecarContainer+")", after)...)
			continue
		}
		after, err := d.bytes()
		if err != nil {
			return err
		}
		out = append(out, after...)
	}
	if _, err := w.Write(out); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// tally counts pods by what was done.
type tally struct{ changed, already, skipped, refused int }

func (c *tally) add(s *session.Session, t *target, result *sidecar.Result) {
	s.Say("%s: %s", t.ref(), result.Message)
	for _, w := range result.Warnings {
		if w != result.Message {
			s.Say("warning: %s: %s", t.ref(), w)
		}
	}
	switch {
	case len(result.Operations) > 0 && result.Outcome != sidecar.Skipped:
		c.changed++
	case result.Outcome == sidecar.Already:
		c.already++
	default:
		c.skipped++
	}
}

func (c *tally) String() string {
	return fmt.Sprintf("%s changed, %d up to date, %d skipped", pods(c.changed), c.already, c.skipped)
}

func pods(n int) string {
	if n == 1 {
		return "1 pod"
	}
	return fmt.Sprintf("%d pods", n)
}
