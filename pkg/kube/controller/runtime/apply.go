package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// appliedObjects caches the last applied objects, so that unchanged objects are not
// applied again. It is safe for concurrent use.
type appliedObjects struct {
	mu    sync.Mutex
	known map[types.UID]map[string]appliedObject
}

type appliedObject struct {
	wanted [sha256.Size]byte
	// mark is the versionMark of the resulting object.
	mark string
}

func newAppliedObjects() *appliedObjects {
	return &appliedObjects{known: map[types.UID]map[string]appliedObject{}}
}

func (a *appliedObjects) get(owner types.UID, key string) (appliedObject, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.known[owner][key]
	return known, ok
}

func (a *appliedObjects) set(owner types.UID, key string, o appliedObject) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known[owner] == nil {
		a.known[owner] = map[string]appliedObject{}
	}
	a.known[owner][key] = o
}

func (a *appliedObjects) forget(owner types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, owner)
}

// apply applies an object unless the existing one is up to date.
func (o objects) apply(ctx context.Context, owner types.UID, object client.Object) error {
	kind := object.GetObjectKind().GroupVersionKind()
	name := kind.Kind + " " + object.GetName()
	tree, err := tree(object)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	raw, err := json.Marshal(tree)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	wanted := sha256.Sum256(raw)
	if known, ok := o.applied.get(owner, name); ok && known.wanted == wanted {
		current, ok := object.DeepCopyObject().(client.Object)
		if ok && o.client.Get(ctx, client.ObjectKeyFromObject(object), current) == nil && versionMark(current) == known.mark {
			return nil
		}
	}
	applied := &unstructured.Unstructured{Object: tree}
	err = o.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied),
		client.FieldOwner(names.FieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply %s: %w", name, withAdvice(err))
	}
	o.applied.set(owner, name, appliedObject{wanted: wanted, mark: versionMark(applied)})
	return nil
}

// versionMark returns a value that changes whenever the applied object is changed:
// it contains the generation or, for kinds without one, the resource version.
func versionMark(o client.Object) string {
	if g := o.GetGeneration(); g != 0 {
		return fmt.Sprintf("%s/g%d", o.GetUID(), g)
	}
	return fmt.Sprintf("%s/%s", o.GetUID(), o.GetResourceVersion())
}

// withAdvice adds advice to errors that the user can fix.
func withAdvice(err error) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%w (check the controller's ClusterRole and the quotas and policies of the namespace)", err)
	}
	return err
}

// tree returns the object to apply: without status and null fields.
func tree(object client.Object) (map[string]any, error) {
	tree, err := kruntime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	delete(tree, "status")
	prune(tree)
	return tree, nil
}

// prune removes fields that encode as null.
func prune(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if inner == nil {
				delete(v, key)
				continue
			}
			prune(inner)
		}
	case []any:
		for _, inner := range v {
			prune(inner)
		}
	}
}
