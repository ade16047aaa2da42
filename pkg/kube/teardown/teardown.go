// Package teardown removes what a JindoRuntime has, in the cluster and on its
// nodes, before the runtime itself goes, and at the start of the controllers
// what belongs to runtimes that went without it.
//
// It waits without limit for one thing only: pods that mount what the runtime
// serves, which it goes on serving. Each of its own steps is bounded and may be
// taken again from any point, so a controller that is killed hinders nothing. A
// node that is gone or does not answer keeps its directories and an event says
// which. What others own is never touched, whatever it is called.
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
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	// timeout of one turn.
	timeout = time.Minute
	// soon is when our own steps are followed up.
	stepInterval = 2 * time.Second
	// blockedAgain is when pods that mount are looked for again.
	blockedInterval = 5 * time.Second
	// podPatience is how long a pod may take to end after its grace period.
	podTerminationTimeout = 2 * time.Minute
)

// Deps are what a teardown works with.
type Deps struct {
	Client client.Client
	// Live reads past caches.
	Live client.Reader
	// SystemNamespace is where cleaner pods run and authorities are kept.
	SystemNamespace string
	// Image that holds the cleaner.
	Image    string
	Recorder events.EventRecorder
	// Patience before the protection of a volume that no pod uses is taken
	// away; datasetvolume.DefaultPatience when it is 0.
	ProtectionTimeout time.Duration
}

// Result of one turn of a teardown.
type Result struct {
	// Done: nothing is left, and the runtime may go.
	Done bool
	// Blocked says, for people, which pods keep the runtime.
	Blocked string
	// Waiting says, for people, which of our own steps is going on.
	Waiting string
	// Again is when to call the next time.
	RequeueAfter time.Duration
}

// teardown of one runtime, one turn of it.
type teardown struct {
	Deps
	runtime *v1alpha1.JindoRuntime
}

// Runtime takes the next steps of a runtime's deletion. Call it again after
// Result.Again until Result.Done.
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

// owned selects what carries the runtime's name and namespace.
func (t *teardown) selector() client.MatchingLabels {
	return client.MatchingLabels{
		names.LabelManagedBy:        names.ManagedBy,
		names.LabelRuntimeNamespace: t.runtime.Namespace,
		names.LabelRuntimeName:      t.runtime.Name,
	}
}

// claims that pods use the runtime through keep it, and go before anything that
// serves them.
func (t *teardown) removeClaims(ctx context.Context) (*Result, error) {
	claims := &corev1.PersistentVolumeClaimList{}
	if err := t.Live.List(ctx, claims, client.InNamespace(t.runtime.Namespace), t.selector()); err != nil {
		return nil, fmt.Errorf("listing its PersistentVolumeClaims: %w", err)
	}
	claims.Items = slices.DeleteFunc(claims.Items, func(c corev1.PersistentVolumeClaim) bool {
		return c.Spec.VolumeName != names.Volume(c.Namespace, c.Name) // no Dataset's
	})
	for i := range claims.Items {
		name := claims.Items[i].Name
		users, err := datasetvolume.Users(ctx, t.Live, t.runtime.Namespace, name)
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			return &Result{RequeueAfter: blockedInterval, Blocked: fmt.Sprintf(
				"%s PersistentVolumeClaim %s: the runtime serves until nothing does, and is deleted then", datasetvolume.PodsMount(users), name)}, nil
		}
	}
	for i := range claims.Items {
		name := claims.Items[i].Name
		gone, err := t.volumeStore().Remove(ctx, t.runtime.Namespace, name)
		if err != nil {
			return nil, err
		}
		if !gone {
			return waiting("PersistentVolumeClaim %s and its volume are being deleted", name), nil
		}
	}
	return nil, nil
}

// volumes without claims: of Datasets, and of masters on nodes.
func (t *teardown) removeVolumes(ctx context.Context) (*Result, error) {
	volumes := &corev1.PersistentVolumeList{}
	if err := t.Live.List(ctx, volumes, t.selector()); err != nil {
		return nil, fmt.Errorf("listing its PersistentVolumes: %w", err)
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
