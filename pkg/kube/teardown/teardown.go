// Package teardown removes the objects and directories of a JindoRuntime, in the
// cluster and on nodes, before its finalizer is removed. When the controllers start,
// it removes the objects of runtimes that were deleted without them.
//
// It waits without limit only for pods that mount the runtime's volumes, which are
// served meanwhile. Every other step is bounded and idempotent, so a controller may
// be restarted at any point. Directories on an unreachable node remain, and an event
// names them. Objects without the label fluid.io/managed-by of this product are
// never changed.
package teardown

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/datasetvolume"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	// timeout is the timeout of one call of Runtime or Sweep.
	timeout = time.Minute
	// stepInterval is the time until the next call while a step is in progress.
	stepInterval = 2 * time.Second
	// blockedInterval is the time until the next call while pods mount a volume.
	blockedInterval = 5 * time.Second
	// podTerminationTimeout is how long a pod may exist after its grace period.
	podTerminationTimeout = 2 * time.Minute
)

// Deps are the dependencies of a teardown.
type Deps struct {
	Client client.Client
	// Live reads from the API server, not from a cache.
	Live client.Reader
	// SystemNamespace is the namespace of cleaner pods and of the authorities'
	// Secrets.
	SystemNamespace string
	// Image is the image of cleaner pods.
	Image    string
	Recorder events.EventRecorder
	// HostPaths are the directories of nodes in which cleaner pods may run.
	HostPaths hostpath.Policy
	// ProtectionTimeout is how long to wait before the protection finalizer of an
	// unused volume is removed; 0 selects datasetvolume.DefaultProtectionTimeout.
	ProtectionTimeout time.Duration
}

// Result is the result of one call of Runtime. Its strings are messages for users,
// empty if they do not apply.
type Result struct {
	// Done reports that everything was removed.
	Done bool
	// Blocked names the pods that block the deletion.
	Blocked string
	// Waiting names the step that is in progress.
	Waiting string
	// RequeueAfter is the time until the next call.
	RequeueAfter time.Duration
}

// teardown is one call of Runtime.
type teardown struct {
	Deps
	runtime *v1alpha1.JindoRuntime
}

// Runtime takes the next steps of a runtime's deletion. The caller repeats it after
// Result.RequeueAfter until Result.Done. It returns an error if a request fails.
func Runtime(ctx context.Context, deps Deps, rt *v1alpha1.JindoRuntime) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := &teardown{Deps: deps, runtime: rt}
	for _, step := range []func(context.Context) (*Result, error){
		t.removeClaims, t.removeWorkloads, t.waitForPods, t.removeMasterClaims, t.removeVolumes, t.removeObjects, t.removeDirectories, t.removeLabels, t.removeCleaners,
	} {
		result, err := step(ctx)
		if err != nil {
			return Result{}, err
		}
		if result != nil {
			return *result, nil
		}
	}
	return Result{Done: true}, nil
}

func waiting(format string, args ...any) *Result {
	return &Result{Waiting: fmt.Sprintf(format, args...), RequeueAfter: stepInterval}
}

func (d Deps) volumeStore() datasetvolume.Volumes {
	return datasetvolume.Volumes{Client: d.Client, Live: d.Live, ProtectionTimeout: d.ProtectionTimeout}
}

// selector returns the labels that select the runtime's objects.
func (t *teardown) selector() client.MatchingLabels {
	return client.MatchingLabels{
		names.LabelManagedBy:        names.ManagedBy,
		names.LabelRuntimeNamespace: t.runtime.Namespace,
		names.LabelRuntimeName:      t.runtime.Name,
	}
}

// removeClaims removes the claims of the runtime's Dataset. Pods that mount one
// block the deletion.
func (t *teardown) removeClaims(ctx context.Context) (*Result, error) {
	claims := &corev1.PersistentVolumeClaimList{}
	if err := t.Live.List(ctx, claims, client.InNamespace(t.runtime.Namespace), t.selector()); err != nil {
		return nil, fmt.Errorf("list PersistentVolumeClaims of JindoRuntime %s/%s: %w", t.runtime.Namespace, t.runtime.Name, err)
	}
	claims.Items = slices.DeleteFunc(claims.Items, func(c corev1.PersistentVolumeClaim) bool {
		return !names.ScopeOf(c.Namespace, c.Name, c.Spec.VolumeName).Possible() // not the claim of a Dataset
	})
	for i := range claims.Items {
		name := claims.Items[i].Name
		users, err := datasetvolume.Users(ctx, t.Live, t.runtime.Namespace, name)
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			return &Result{RequeueAfter: blockedInterval, Blocked: fmt.Sprintf(
				"%s PersistentVolumeClaim %s: the runtime is deleted when no pod mounts it", health.PodsMount(users), name)}, nil
		}
	}
	for i := range claims.Items {
		name := claims.Items[i].Name
		gone, err := t.volumeStore().Remove(ctx, names.ScopeOf(t.runtime.Namespace, name, claims.Items[i].Spec.VolumeName))
		if err != nil {
			return nil, err
		}
		if !gone {
			return waiting("PersistentVolumeClaim %s and its volume are being deleted", name), nil
		}
	}
	return nil, nil
}

// removeVolumes removes PersistentVolumes whose claims have been removed.
func (t *teardown) removeVolumes(ctx context.Context) (*Result, error) {
	volumes := &corev1.PersistentVolumeList{}
	if err := t.Live.List(ctx, volumes, t.selector()); err != nil {
		return nil, fmt.Errorf("list PersistentVolumes of JindoRuntime %s/%s: %w", t.runtime.Namespace, t.runtime.Name, err)
	}
	for i := range volumes.Items {
		if err := t.volumeStore().RemoveVolume(ctx, &volumes.Items[i]); err != nil {
			return nil, err
		}
	}
	if len(volumes.Items) > 0 {
		return waiting("PersistentVolume %s is being deleted", volumes.Items[0].Name), nil
	}
	return nil, nil
}
