package create

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	// pollInterval is the pause between two polls of --wait.
	pollInterval = time.Second
	// failureGrace is how long a failure that may recover must last to end the wait.
	failureGrace = 15 * time.Second
)

// target is one object that --wait waits for.
type target struct {
	kind, name string
	key        types.NamespacedName
	generation int64

	line iostreams.Line
	done bool
	// failed is the message of the failure, or "".
	failed string
	// final reports whether the failure cannot recover.
	final bool
	// since is when the failure was first seen.
	since time.Time
}

// await waits until all objects are ready, or returns an error when one fails or at
// the timeout.
func (s *sender) await(ctx context.Context, objects []*unstructured.Unstructured) error {
	var targets []*target
	for _, u := range objects {
		switch u.GetKind() {
		case v1alpha1.DatasetKind, v1alpha1.JindoRuntimeKind, v1alpha1.DataLoadKind:
			targets = append(targets, &target{
				kind: u.GetKind(), name: name(u), generation: u.GetGeneration(),
				key: types.NamespacedName{Namespace: u.GetNamespace(), Name: u.GetName()},
			})
		}
	}
	progress := iostreams.NewProgress(s.session.Streams.ErrOut, iostreams.Detect(s.session.Streams.ErrOut, s.session.Colour, s.session.Getenv))
	deadline := time.Now().Add(s.timeout)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		pending, err := s.poll(ctx, targets, progress)
		if err != nil || pending == nil {
			return err
		}
		if !time.Now().Before(deadline) {
			return (&clierror.Error{Code: clierror.TimedOut, Err: fmt.Errorf("%s is not ready after %v: %s", pending.name, s.timeout, pending.line.Text)}).
				WithTry("%s status %s -n %s", s.session.Name, pending.key.Name, pending.key.Namespace)
		}
		select {
		case <-ctx.Done():
			return clierror.Generalf("waiting for %s: interrupted; the objects were written", pending.name)
		case <-ticker.C:
		}
	}
}

// poll reads every target that is not done, and returns the first that is pending
// or nil.
func (s *sender) poll(ctx context.Context, targets []*target, progress *iostreams.Progress) (pending *target, err error) {
	var lines []iostreams.Line
	for _, t := range targets {
		if !t.done {
			if err := s.observe(ctx, t); err != nil {
				return nil, err
			}
		}
		lines = append(lines, t.line)
		if !t.done && pending == nil {
			pending = t
		}
	}
	progress.Show(lines)
	for _, t := range targets {
		if t.failed != "" && (t.final || time.Since(t.since) >= failureGrace) {
			return nil, clierror.Generalf("%s failed: %s", t.name, t.failed).
				WithTry("%s status %s -n %s", s.session.Name, t.key.Name, t.key.Namespace)
		}
	}
	return pending, nil
}

// observe reads one target. Errors of the API server are shown and do not end the
// wait, except missing rights.
func (s *sender) observe(ctx context.Context, t *target) error {
	var err error
	before := t.failed
	t.failed, t.final = "", false
	switch t.kind {
	case v1alpha1.DatasetKind:
		err = s.observeDataset(ctx, t)
	case v1alpha1.JindoRuntimeKind:
		err = s.observeRuntime(ctx, t)
	case v1alpha1.DataLoadKind:
		err = s.observeLoad(ctx, t)
	}
	if t.failed != before {
		t.since = time.Now()
	}
	t.line.Name, t.line.Mark = t.name, mark(t)
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return clierror.Generalf("%s was deleted during the wait", t.name)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err), ctx.Err() != nil:
		return apierror.Explain(s.session, s.cluster, "waiting for "+t.name, err)
	}
	t.line.Text = apierror.Explain(s.session, s.cluster, "reading "+t.name, err).Error()
	return nil
}

func mark(t *target) iostreams.Mark {
	switch {
	case t.done:
		return iostreams.Good
	case t.failed != "":
		return iostreams.Bad
	}
	return iostreams.Warn
}

func (s *sender) observeDataset(ctx context.Context, t *target) error {
	d := &v1alpha1.Dataset{}
	if err := s.cluster.Get(ctx, t.key, d); err != nil {
		return err
	}
	result := health.EvaluateDataset(d)
	if !result.Current || d.Status.ObservedGeneration < t.generation {
		t.line.Text = "Pending: the dataset-controller has not processed it yet"
		return nil
	}
	t.apply(&result, result.State)
	return nil
}

// apply takes over what the status means. A store that refuses may recover; a
// finding that is Fatal ends the wait immediately.
func (t *target) apply(result *health.Result, state string) {
	t.line.Text = join(state, result.Message())
	t.done = result.Level == health.Ready
	if t.done {
		return
	}
	worst, _ := result.Worst(health.Info)
	if t.final = worst.Severity == health.Fatal; t.final || result.State == string(v1alpha1.FailedDatasetPhase) {
		t.failed = result.Message()
	}
}

func (s *sender) observeRuntime(ctx context.Context, t *target) error {
	r := &v1alpha1.JindoRuntime{}
	if err := s.cluster.Get(ctx, t.key, r); err != nil {
		return err
	}
	st := &r.Status
	result := health.EvaluateRuntime(r)
	if !result.Current || st.ObservedGeneration < t.generation {
		t.line.Text = "Pending: the jindoruntime-controller has not processed it yet"
		return nil
	}
	state := fmt.Sprintf("masters %d/%d, workers %d/%d, mounts %d/%d", st.MasterNumberReady, st.DesiredMasterNumberScheduled,
		st.WorkerNumberReady, st.DesiredWorkerNumberScheduled, st.FuseNumberReady, st.DesiredFuseNumberScheduled)
	t.apply(&result, state)
	if _, explained := result.Worst(health.Problem); !t.done && !explained {
		// The conditions name no cause: a pod may.
		if reason := s.podReason(ctx, t.key); reason != "" {
			t.line.Text = join(state, reason)
		}
	}
	return nil
}

func (s *sender) observeLoad(ctx context.Context, t *target) error {
	load := &v1alpha1.DataLoad{}
	if err := s.cluster.Get(ctx, t.key, load); err != nil {
		return err
	}
	result := health.EvaluateDataLoad(load)
	t.apply(&result, result.State)
	if result.Level == health.Failed {
		t.failed, t.final = result.Message(), true
	}
	return nil
}

// podReason returns why a pod of the runtime does not run, or "". Errors of listing
// pods are ignored: the conditions are shown in any case.
func (s *sender) podReason(ctx context.Context, runtime types.NamespacedName) string {
	pods := &corev1.PodList{}
	err := s.cluster.List(ctx, pods, client.InNamespace(runtime.Namespace),
		client.MatchingLabels{names.LabelApp: names.App, names.LabelRelease: runtime.Name})
	if err != nil {
		return ""
	}
	for i := range pods.Items {
		if reason := health.PodReason(&pods.Items[i]); reason != "" {
			return "pod " + pods.Items[i].Name + ": " + reason
		}
	}
	return ""
}

func join(state, message string) string {
	if message == "" {
		return state
	}
	return state + ": " + strings.Join(strings.Fields(message), " ")
}
