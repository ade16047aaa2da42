package jindocli

import (
	"context"
	"fmt"

	"github.com/jindo-io/jindo/pkg/cli/raft"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// Cluster is a runtime, as the commands need it. Its methods obey their context.
type Cluster interface {
	// Masters returns the status of every master, in the topology's order.
	Masters(ctx context.Context) []report.Master
	// Report returns the status of the whole runtime.
	Report(ctx context.Context) *report.Runtime
	// View returns the masters' view, or that of a worker if no master leads.
	View(ctx context.Context) (*commonv1.ClusterView, error)
	// Mount adds a mount; changed is false if it exists with the same settings.
	Mount(ctx context.Context, mount *commonv1.Mount) (changed bool, err error)
	// Unmount removes the mount at path.
	Unmount(ctx context.Context, path string) error
	// Invalidate discards the cached names of the mount at path.
	Invalidate(ctx context.Context, path string) error
	// Files opens the tree of files.
	Files(ctx context.Context) (Files, error)
	// Raft returns the masters' Raft group.
	Raft() (raft.Masters, error)
	// Close closes all connections, and what Files returned.
	Close()
}

// runner runs one command.
type runner struct {
	env      Env
	settings Settings
	opened   Cluster
}

// within runs a command and closes the cluster if it was opened.
func (r *runner) within(ctx context.Context, command func(context.Context) error) error {
	defer func() {
		if r.opened != nil {
			r.opened.Close()
		}
	}()
	return command(ctx)
}

// cluster returns the cluster, which is opened by the first call.
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

// bounded returns the context of a command that moves no data.
func (r *runner) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.settings.Timeout)
}

// print prints to the output.
func (r *runner) print(format string, args ...any) error {
	if _, err := fmt.Fprintf(r.env.Out, format, args...); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// warn prints a line to the error output.
func (r *runner) warn(format string, args ...any) {
	_, _ = fmt.Fprintf(r.env.Err, format+"\n", args...)
}

// has reports whether the words contain -name or --name.
func has(words []string, name string) bool {
	for _, word := range words {
		if word == "-"+name || word == "--"+name {
			return true
		}
	}
	return false
}
