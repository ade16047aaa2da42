// Package inject is what people ask about sidecars: what a manifest looks like
// with them, the same backwards, and why a pod has one or has not. It plans with
// the webhook's own function, so that both always answer the same.
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
	cmd.Flags().BoolVar(&o.diff, "diff", false, "print what changes in place of the manifest")
}

// New makes the command inject.
func New(s *session.Session) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "inject -f FILE",
		Short: "Show a manifest as the webhook makes its pods",
		Long: `Show a manifest as the webhook makes its pods, without changing anything.

Pods, and the templates of Deployments, StatefulSets, DaemonSets, ReplicaSets,
ReplicationControllers, Jobs and CronJobs, get their sidecar if their labels ask
for it; everything else in the manifest stays as it is, byte by byte. The
manifest goes to standard output, a report to standard error.

Datasets and JindoRuntimes are taken from the same files, and what these lack
from the cluster. Nothing is written if a pod is refused.`,
		Example: fmt.Sprintf(`  %[1]s inject -f train.yaml --diff
  %[1]s inject -f train.yaml -f dataset.yaml --offline
  kubectl kustomize . | %[1]s inject -f - | kubectl apply -f -`, s.Name),
		Args: session.None,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.inject(cmd.Context(), s) },
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.offline, "offline", false, "ask no cluster: a claim of no Dataset in the files is nobody's")
	cmd.Flags().StringVar(&o.image, "image", "", "image of sidecars where no JindoRuntime has one; the webhook's own where that can be read")
	cmd.AddCommand(newExplain(s))
	return cmd
}

// NewUninject makes the command uninject.
func NewUninject(s *session.Session) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "uninject -f FILE",
		Short: "Take sidecars out of a manifest",
		Long: `Take out of a manifest what inject put in: the sidecar, its volume, its
annotations. Everything else stays as it is. The manifest goes to standard
output, a report to standard error.`,
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

// edit all pods of the files with what decide says, and print what comes of it.
func (o *options) edit(ctx context.Context, s *session.Session, verb string, decide func(*target) (*sidecar.Result, error)) error {
	if o.sources.IsEmpty() {
		return clierror.Usagef("%s needs a manifest", verb).WithTry("%s %s -f FILE", s.Name, verb)
	}
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
		return clierror.Generalf("%s refused: nothing was written", pods(counts.refused)).WithHint("the webhook would refuse the same")
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
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// tally of what was done.
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
	return fmt.Sprintf("%s changed, %d as it should be, %d left alone", pods(c.changed), c.already, c.skipped)
}

func pods(n int) string {
	if n == 1 {
		return "1 pod"
	}
	return fmt.Sprintf("%d pods", n)
}
