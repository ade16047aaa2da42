// Package lookup finds the Datasets behind the claims of a pod.
//
// A claim is a Dataset's if its PersistentVolumeClaim was made by us or a
// Dataset has its name. What a cache does not know is asked of the API server
// once, within a second: a pod is often created with the Dataset it uses, and a
// wrong guess would let it start without its data. A claim that is still
// unknown is [Unknown], an error for people; whoever makes pods tries again.
package lookup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

// liveTimeout of all that is asked live for one pod.
const liveTimeout = time.Second

// Unknown is a claim of which nobody can say whether it is a Dataset's.
type Unknown struct {
	Namespace, Claim string
	// Err is why the API server could not be asked; nil when it answered that
	// there is neither claim nor Dataset.
	Err error
}

// Error is the sentence that refuses the pod.
func (u *Unknown) Error() string {
	if u.Err != nil {
		return fmt.Sprintf("whether claim %s in namespace %s is a Dataset's is not known: %v; create the pod again", u.Claim, u.Namespace, u.Err)
	}
	return fmt.Sprintf("there is neither a PersistentVolumeClaim nor a Dataset %s in namespace %s: create the Dataset first, or correct the claimName; a workload's controller tries again by itself", u.Claim, u.Namespace)
}

// Unwrap answers why the API server could not be asked.
func (u *Unknown) Unwrap() error { return u.Err }

// Find answers the Datasets behind claims of one namespace; claims that are not
// a Dataset's are left out. What cached does not know is asked of live; both
// may be the same.
func Find(ctx context.Context, cached, live client.Reader, namespace string, claims []string) (map[string]*inject.Dataset, error) {
	asking, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	f := finder{cached: cached, live: live, asking: asking, namespace: namespace}
	found := map[string]*inject.Dataset{}
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
	// asking bounds all live requests together.
	asking    context.Context //nolint:containedctx // of one call of Find
	namespace string
	runtimes  []*v1alpha1.JindoRuntime
	listed    bool
}

// dataset behind a claim; nil when there is none.
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
	if !isDataset && (!isClaim || ours(pvc)) {
		if isDataset, err = f.get(f.asking, f.live, claim, dataset); err != nil {
			return nil, f.unknown(claim, err)
		}
	}
	if isDataset {
		return f.describe(ctx, dataset)
	}
	if !isClaim {
		if isClaim, err = f.get(f.asking, f.live, claim, pvc); err != nil {
			return nil, f.unknown(claim, err)
		}
	}
	switch {
	case !isClaim:
		return nil, &Unknown{Namespace: f.namespace, Claim: claim}
	case ours(pvc):
		return &inject.Dataset{Name: claim, Message: fmt.Sprintf("Dataset %s is gone, and its claim will be", claim)}, nil
	}
	return nil, nil
}

func (f *finder) unknown(claim string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the API server did not answer within %v", liveTimeout)
	}
	return &Unknown{Namespace: f.namespace, Claim: claim, Err: err}
}

func (f *finder) get(ctx context.Context, from client.Reader, name string, into client.Object) (bool, error) {
	err := from.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading %s/%s: %w", f.namespace, name, err)
	}
	return true, nil
}

// describe a Dataset; nil for one that another product's runtime serves.
func (f *finder) describe(ctx context.Context, dataset *v1alpha1.Dataset) (*inject.Dataset, error) {
	foreign := func(r v1alpha1.Runtime) bool { return r.Type != "" && r.Type != v1alpha1.JindoRuntimeType }
	if slices.ContainsFunc(dataset.Status.Runtimes, foreign) {
		return nil, nil
	}
	if !f.listed {
		var list v1alpha1.JindoRuntimeList
		if err := f.cached.List(ctx, &list, client.InNamespace(f.namespace)); err != nil {
			return nil, fmt.Errorf("listing the JindoRuntimes of namespace %s: %w", f.namespace, err)
		}
		for i := range list.Items {
			f.runtimes = append(f.runtimes, &list.Items[i])
		}
		f.listed = true
	}
	d := &inject.Dataset{Name: dataset.Name, Phase: dataset.Status.Phase, Runtime: plan.Serving(dataset, f.runtimes)}
	if c := health.DatasetCondition(dataset, v1alpha1.DatasetReady); c != nil {
		d.Ready, d.Message = c.Status == corev1.ConditionTrue, c.Message
	}
	if d.Runtime == nil {
		d.Ready = false
	}
	return d, nil
}

func ours(pvc *corev1.PersistentVolumeClaim) bool {
	return pvc.Labels[names.LabelManagedBy] == names.ManagedBy
}
