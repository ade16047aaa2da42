package remove

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

// interval is the time between two polls.
const interval = time.Second

// await waits until the objects are deleted.
func (o *options) await(ctx context.Context, cluster *session.Cluster, targets []*target) error {
	shown := iostreams.NewProgress(o.session.Streams.ErrOut, iostreams.Detect(o.session.Streams.ErrOut, o.session.Colour, o.session.Getenv))
	deadline := time.Now().Add(o.timeout)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		var lines []iostreams.Line
		var pending *target
		for _, t := range targets {
			if err := o.poll(ctx, cluster, t); err != nil {
				return err
			}
			line := iostreams.Line{Name: t.resource + "/" + t.object.GetName(), Text: t.text, Mark: iostreams.Warn}
			if t.deleted {
				line.Mark = iostreams.Good
			} else if pending == nil {
				pending = t
			}
			lines = append(lines, line)
		}
		shown.Show(lines)
		if pending == nil {
			return nil
		}
		if !time.Now().Before(deadline) {
			failed := &clierror.Error{Code: clierror.TimedOut, Err: fmt.Errorf("%s is still being deleted after %v: %s", pending.describe(), o.timeout, pending.text)}
			return failed.WithHint("the deletion continues without this command")
		}
		select {
		case <-ctx.Done():
			return clierror.Generalf("interrupted while waiting for the deletion of %s, which continues", pending.describe())
		case <-ticker.C:
		}
	}
}

// poll updates the progress of one deletion. An API server that is unreachable does not
// end the wait.
func (o *options) poll(ctx context.Context, cluster *session.Cluster, t *target) error {
	if t.deleted {
		return nil
	}
	now, ok := t.object.DeepCopyObject().(client.Object)
	if !ok {
		return clierror.Generalf("unexpected object %s", t.describe())
	}
	err := cluster.Get(ctx, client.ObjectKeyFromObject(t.object), now)
	switch {
	case apierrors.IsNotFound(err), err == nil && now.GetUID() != t.object.GetUID():
		t.deleted, t.text = true, "deleted"
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err), ctx.Err() != nil:
		return apierror.Explain(o.session, cluster, "waiting for the deletion of "+t.describe(), err)
	case err != nil:
		t.text = apierror.Explain(o.session, cluster, "reading "+t.describe(), err).Error()
	default:
		t.text = deletionState(now)
	}
	return nil
}

// deletionState returns what the deletion of an object waits for.
func deletionState(object client.Object) string {
	var result health.Result
	switch o := object.(type) {
	case *v1alpha1.Dataset:
		result = health.EvaluateDataset(o)
	case *v1alpha1.JindoRuntime:
		result = health.EvaluateRuntime(o)
	}
	if blocked := result.Deletion(); blocked != "" {
		return "waits: " + blocked
	}
	return "being deleted"
}
