package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// refreshIntervals are the times between the refreshes of one pod, the last of which is
// the time to wait for the result.
var refreshIntervals = [...]time.Duration{3 * time.Second, 7 * time.Second, 20 * time.Second, time.Minute}

// credentialRefreshes shortens the time until workers have new credentials. A kubelet
// writes a changed Secret into a running pod when it synchronizes the pod, which takes up
// to one and a half minutes, and it does that at once when the pod is changed. So an
// annotation of the pod is changed, and again if the kubelet had the Secret later than
// the annotation. It is bounded, since a worker of an earlier version reports nothing.
//
// Input: the desired state, the workloads and the masters. Output: annotations of pods of
// workers that lack credentials, and the time until the next pass.
type credentialRefreshes struct {
	client client.Client
	times  *refreshTimes
}

func (c credentialRefreshes) reconcile(ctx context.Context, r *report, want *desired, w *workloads, m *masterState) {
	revision := want.plan.CredentialsRevision
	if revision <= 0 {
		return
	}
	lacking := slices.Collect(m.withoutCredentials(revision))
	if len(lacking) == 0 && m.workers != nil {
		c.times.forget(r.runtime.UID)
		return
	}
	for _, pod := range w.owned(plan.RoleWorker) {
		if !slices.Contains(lacking, pod.Name) || !pod.DeletionTimestamp.IsZero() {
			continue
		}
		due, wait := c.times.next(r.runtime.UID, pod.UID, revision, r.now.Time)
		if wait {
			r.requeueAfter = min(r.requeueAfter, startupInterval)
		}
		if !due {
			continue
		}
		if err := c.refresh(ctx, &pod, fmt.Sprintf("revision %d at %s", revision, r.now.UTC().Format(time.RFC3339Nano))); err != nil {
			// The kubelet will refresh the Secret later.
			ctrl.LoggerFrom(ctx).Error(err, "refresh credentials", "pod", pod.Name)
		}
	}
}

func (c credentialRefreshes) refresh(ctx context.Context, pod *corev1.Pod, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "annotations": map[string]string{names.AnnotationRefreshed: value},
	}})
	if err != nil {
		return fmt.Errorf("encode annotation %s: %w", names.AnnotationRefreshed, err)
	}
	err = c.client.Patch(ctx, pod, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(names.FieldManager))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("annotate pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// refreshTimes records the refreshes of pods by this process, by runtime. It is safe for
// concurrent use.
type refreshTimes struct {
	mu   sync.Mutex
	last map[types.UID]map[types.UID]refreshed
}

// refreshed is the last refresh of a pod.
type refreshed struct {
	revision int64
	count    int
	at       time.Time
}

func newRefreshTimes() *refreshTimes {
	return &refreshTimes{last: map[types.UID]map[types.UID]refreshed{}}
}

// next reports whether a pod that lacks credentials is to be refreshed now, which it
// records, and whether the result is worth waiting for.
func (t *refreshTimes) next(runtime, pod types.UID, revision int64, now time.Time) (due, wait bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.last[runtime][pod]
	if last.revision != revision {
		last = refreshed{revision: revision}
	}
	elapsed := last.count == 0 || now.Sub(last.at) >= refreshIntervals[last.count-1]
	if due = elapsed && last.count < len(refreshIntervals); !due {
		return false, !elapsed
	}
	last.count, last.at = last.count+1, now
	if t.last[runtime] == nil {
		t.last[runtime] = map[types.UID]refreshed{}
	}
	t.last[runtime][pod] = last
	return true, true
}

// forget removes the records of a runtime.
func (t *refreshTimes) forget(runtime types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.last, runtime)
}
