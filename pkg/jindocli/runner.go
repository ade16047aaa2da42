package jindocli

import (
	"context"
	"fmt"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// Cluster is what the commands ask of a runtime.
type Cluster interface {
	// Masters are the members as each says of itself, in the roster's order.
	Masters(ctx context.Context) []report.Master
	// Report of everything.
	Report(ctx context.Context) *report.Runtime
	// View as masters have it, or failing them any worker.
	View(ctx context.Context) (*commonv1.ClusterView, error)
	Mount(ctx context.Context, mount *commonv1.Mount) (changed bool, err error)
	Unmount(ctx context.Context, path string) error
	// Invalidate has every name of the mount at path looked up anew.
	Invalidate(ctx context.Context, path string) error
	// Files is the tree; it is opened on first use.
	Files(ctx context.Context) (Files, error)
	Close()
}

// runner runs one command.
type runner struct {
	env      Env
	settings Settings
	opened   Cluster
}

// within closes what the command opened.
func (r *runner) within(ctx context.Context, command func(context.Context) error) error {
	defer func() {
		if r.opened != nil {
			r.opened.Close()
		}
	}()
	return command(ctx)
}

// cluster opens the cluster once.
func (r *runner) cluster(ctx context.Context) (Cluster, error) {
	if r.opened != nil {
		return r.opened, nil
	}
	settings, err := r.settings.locate()
	if err != nil {
		return nil, err
	}
	opened, err := r.env.Open(ctx, settings)
	if err != nil {
		return nil, err
	}
	r.opened = opened
	return opened, nil
}

// bounded is the context of a command that moves no data.
func (r *runner) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.settings.Timeout)
}

func (r *runner) print(format string, args ...any) error {
	if _, err := fmt.Fprintf(r.env.Out, format, args...); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func (r *runner) complain(format string, args ...any) {
	_, _ = fmt.Fprintf(r.env.Err, format+"\n", args...)
}

// has tells whether a word is among the words, in the spellings people use.
func has(words []string, name string) bool {
	for _, word := range words {
		if word == "-"+name || word == "--"+name {
			return true
		}
	}
	return false
}
