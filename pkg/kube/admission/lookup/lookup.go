// Package lookup finds the Datasets to which the claims of a pod belong.
//
// A claim belongs to a Dataset if a controller of this product created its
// PersistentVolumeClaim, or if a Dataset has its name. Objects that are not in the
// cache are read once from the API server, within one second, because pods are
// often created together with the Dataset that they use, and a wrong decision would
// let a pod start without its data. The error for a claim that cannot be found is
// [Unknown]; workload controllers retry.
package lookup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// liveTimeout is the time limit for all requests to the API server for one pod.
const liveTimeout = time.Second

// Unknown is the error for a claim that may or may not belong to a Dataset.
type Unknown struct {
	Namespace, Claim string
	// Err is the error of a request to the API server; nil if neither the claim nor
	// a Dataset of its name exists.
	Err error
}

// Error implements error.
func (u *Unknown) Error() string {
	if u.Err != nil {
		return fmt.Sprintf("could not determine whether claim %s in namespace %s belongs to a Dataset: %v; create the pod again", u.Claim, u.Namespace, u.Err)
	}
	return fmt.Sprintf("no PersistentVolumeClaim or Dataset %s found in namespace %s: create the Dataset first, or correct the claimName; workload controllers retry automatically", u.Claim, u.Namespace)
}

// Unwrap returns the error of the request to the API server, if any.
func (u *Unknown) Unwrap() error { return u.Err }

// Find returns the Datasets of claims of one namespace, by claim. Claims that do not
// belong to a Dataset are omitted. Objects that cached does not find are read from
// live; both may be the same.
func Find(ctx context.Context, cached, live client.Reader, namespace string, claims []string) (map[string]*inject.Dataset, error) {
	f := finder{cached: cached, live: live, namespace: namespace}
	defer f.close()
	found := make(map[string]*inject.Dataset, len(claims))
	for _, claim := range claims {
		d, err := f.dataset(ctx, claim)
		if err != nil {
			return nil, err
		}
		if d != nil {
			found[claim] = d
		}
	}
	return found, nil
}

type finder struct {
	cached, live client.Reader
	// liveCtx limits the time of all live requests of one call of Find; nil before the
	// first one.
	liveCtx   context.Context
	cancel    context.CancelFunc
	namespace string
	runtimes  []*v1alpha1.JindoRuntime
	listed    bool
}

func (f *finder) close() {
	if f.cancel != nil {
		f.cancel()
	}
}

// getLive reads an object from the API server.
func (f *finder) getLive(ctx context.Context, name string, into client.Object) (bool, error) {
	if f.liveCtx == nil {
		f.liveCtx, f.cancel = context.WithTimeout(ctx, liveTimeout)
	}
	return f.get(f.liveCtx, f.live, name, into)
}

// dataset returns the Dataset of a claim; nil if the claim does not belong to one.
func (f *finder) dataset(ctx context.Context, claim string) (*inject.Dataset, error) {
	dataset, pvc := &v1alpha1.Dataset{}, &corev1.PersistentVolumeClaim{}
	isDataset, err := f.get(ctx, f.cached, claim, dataset)
	if err != nil {
		return nil, err
	}
	isClaim, err := f.get(ctx, f.cached, claim, pvc)
	if err != nil {
		return nil, err
	}
	if !isDataset && (!isClaim || managed(pvc)) {
		if isDataset, err = f.getLive(ctx, claim, dataset); err != nil {
			return nil, f.unknown(claim, err)
		}
	}
	if isDataset {
		return f.describe(ctx, dataset)
	}
	if !isClaim {
		if isClaim, err = f.getLive(ctx, claim, pvc); err != nil {
			return nil, f.unknown(claim, err)
		}
	}
	switch {
	case !isClaim:
		return nil, &Unknown{Namespace: f.namespace, Claim: claim}
	case managed(pvc):
		return &inject.Dataset{Name: claim, Message: fmt.Sprintf("Dataset %s was deleted, and its claim will be deleted", claim)}, nil
	}
	return nil, nil
}

func (f *finder) unknown(claim string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the API server did not respond within %v", liveTimeout)
	}
	return &Unknown{Namespace: f.namespace, Claim: claim, Err: err}
}

func (f *finder) get(ctx context.Context, from client.Reader, name string, into client.Object) (bool, error) {
	err := from.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s/%s: %w", f.namespace, name, err)
	}
	return true, nil
}

// describe returns a Dataset with its runtime; nil if a runtime of another type
// serves it.
func (f *finder) describe(ctx context.Context, dataset *v1alpha1.Dataset) (*inject.Dataset, error) {
	foreign := func(r v1alpha1.Runtime) bool { return r.Type != "" && r.Type != v1alpha1.JindoRuntimeType }
	if slices.ContainsFunc(dataset.Status.Runtimes, foreign) {
		return nil, nil
	}
	if !f.listed {
		var list v1alpha1.JindoRuntimeList
		if err := f.cached.List(ctx, &list, client.InNamespace(f.namespace)); err != nil {
			return nil, fmt.Errorf("list JindoRuntimes in namespace %s: %w", f.namespace, err)
		}
		for i := range list.Items {
			f.runtimes = append(f.runtimes, &list.Items[i])
		}
		f.listed = true
	}
	d := &inject.Dataset{Name: dataset.Name, Phase: dataset.Status.Phase, Volume: dataset.Status.VolumeName, Runtime: plan.Serving(dataset, f.runtimes)}
	if c := health.DatasetCondition(dataset, v1alpha1.DatasetReady); c != nil {
		d.Ready, d.Message = c.Status == corev1.ConditionTrue, c.Message
	}
	if d.Runtime == nil {
		d.Ready = false
	}
	return d, nil
}

func managed(pvc *corev1.PersistentVolumeClaim) bool {
	return pvc.Labels[names.LabelManagedBy] == names.ManagedBy
}
