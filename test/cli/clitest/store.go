package clitest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// resource is a kind and its plural.
type resource struct {
	gvr schema.GroupVersionResource
	gvk schema.GroupVersionKind
}

// objectKey identifies an object in a store.
type objectKey struct {
	gvr             schema.GroupVersionResource
	namespace, name string
}

// event is one change, kept for watches that begin later.
type event struct {
	key     objectKey
	version int64
	kind    watch.EventType
	object  *unstructured.Unstructured
}

// store keeps objects in client-go's field-managed trackers, which create,
// patch and apply them. It adds what trackers leave out: the metadata that a
// server sets, and a log of changes, so that a watch that starts at the version
// of a list misses no deletion.
type store struct {
	mu sync.Mutex
	// trackers maps kinds to trackers. Each has a scheme of its own, because the field manager
	// finds the kind of an unstructured object by its Go type.
	trackers map[resource]clienttesting.ObjectTracker
	events   []event
	// version of the newest change.
	version int64
	// changed is closed at the next change.
	changed chan struct{}
}

func newStore() *store {
	return &store{trackers: map[resource]clienttesting.ObjectTracker{}, version: 1, changed: make(chan struct{})}
}

// newTracker returns an empty tracker for unstructured objects of one kind.
func newTracker(gvk schema.GroupVersionKind) clienttesting.ObjectTracker {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(gvk, &unstructured.Unstructured{})
	scheme.AddKnownTypeWithName(gvk.GroupVersion().WithKind(gvk.Kind+"List"), &unstructured.UnstructuredList{})
	return clienttesting.NewFieldManagedObjectTracker(scheme, unstructured.UnstructuredJSONScheme, managedfields.NewDeducedTypeConverter())
}

// tracker returns the tracker of a kind. The caller must hold s.mu.
func (s *store) tracker(of resource) clienttesting.ObjectTracker {
	if s.trackers[of] == nil {
		s.trackers[of] = newTracker(of.gvk)
	}
	return s.trackers[of]
}

// get returns a copy of an object, or nil if it does not exist.
func (s *store) get(of resource, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	return find(s.tracker(of), of, namespace, name)
}

func find(tracker clienttesting.ObjectTracker, of resource, namespace, name string) *unstructured.Unstructured {
	found, err := tracker.Get(of.gvr, namespace, name)
	if err != nil {
		return nil
	}
	u, _ := found.(*unstructured.Unstructured)
	return u
}

// list returns copies of the objects of a namespace, or of all if it is "",
// ordered by namespace and name, and the version of the list.
func (s *store) list(of resource, namespace string) ([]unstructured.Unstructured, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.tracker(of).List(of.gvr, of.gvk, namespace)
	if err != nil {
		return nil, 0, fmt.Errorf("list %s: %w", of.gvr.Resource, err)
	}
	list, is := found.(*unstructured.UnstructuredList)
	if !is {
		return nil, 0, fmt.Errorf("list %s: the tracker returned a %T", of.gvr.Resource, found)
	}
	return list.Items, s.version, nil
}

// put creates or replaces an object without field management.
func (s *store) put(of resource, u *unstructured.Unstructured) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u = u.DeepCopy()
	u.SetGroupVersionKind(of.gvk)
	before := find(s.tracker(of), of, u.GetNamespace(), u.GetName())
	setServerFields(u, before, s.version+1)
	return s.replace(of, before, u)
}

// drop removes an object if it exists.
func (s *store) drop(of resource, namespace, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := find(s.tracker(of), of, namespace, name)
	if before == nil {
		return nil
	}
	return s.remove(of, before)
}

// change runs do on the tracker of a kind, and returns the object that results.
// Nothing is kept of a dry run.
func (s *store) change(of resource, namespace, name string, dryRun bool, do func(clienttesting.ObjectTracker) error) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The change is made in a tracker of its own, so that a dry run and an error leave no trace.
	scratch := newTracker(of.gvk)
	before := find(s.tracker(of), of, namespace, name)
	if before != nil {
		if err := scratch.Add(before); err != nil {
			return nil, fmt.Errorf("copy %s %s: %w", of.gvk.Kind, name, err)
		}
	}
	if err := do(scratch); err != nil {
		return nil, err
	}
	after := find(scratch, of, namespace, name)
	after.SetGroupVersionKind(of.gvk)
	if dryRun {
		setServerFields(after, before, 0)
		after.SetResourceVersion("")
		return after, nil
	}
	setServerFields(after, before, s.version+1)
	if after.GetDeletionTimestamp() != nil && len(after.GetFinalizers()) == 0 {
		return after, s.remove(of, after)
	}
	return after, s.replace(of, before, after)
}

// replace stores an object in the place of before, which may be nil. The caller
// must hold s.mu.
func (s *store) replace(of resource, before, u *unstructured.Unstructured) error {
	kind, tracker := watch.Added, s.tracker(of)
	if before != nil {
		kind = watch.Modified
		if err := tracker.Delete(of.gvr, u.GetNamespace(), u.GetName()); err != nil {
			return fmt.Errorf("replace %s %s: %w", of.gvk.Kind, u.GetName(), err)
		}
	}
	if err := tracker.Add(u); err != nil {
		return fmt.Errorf("store %s %s: %w", of.gvk.Kind, u.GetName(), err)
	}
	s.record(of, kind, u)
	return nil
}

// remove deletes an object. The caller must hold s.mu.
func (s *store) remove(of resource, before *unstructured.Unstructured) error {
	if err := s.tracker(of).Delete(of.gvr, before.GetNamespace(), before.GetName()); err != nil {
		return fmt.Errorf("delete %s %s: %w", of.gvk.Kind, before.GetName(), err)
	}
	last := before.DeepCopy()
	last.SetResourceVersion(strconv.FormatInt(s.version+1, 10))
	s.record(of, watch.Deleted, last)
	return nil
}

// record appends a change to the log. The caller must hold s.mu.
func (s *store) record(of resource, kind watch.EventType, u *unstructured.Unstructured) {
	s.version++
	key := objectKey{of.gvr, u.GetNamespace(), u.GetName()}
	s.events = append(s.events, event{key: key, version: s.version, kind: kind, object: u.DeepCopy()})
	close(s.changed)
	s.changed = make(chan struct{})
}

// since returns the changes after a version, and a channel that is closed at the
// next change.
func (s *store) since(version int64) ([]event, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := len(s.events)
	for at > 0 && s.events[at-1].version > version {
		at--
	}
	return slices.Clone(s.events[at:]), s.changed
}

// setServerFields sets the metadata that an API server sets: uid, creation time,
// generation and version.
func setServerFields(u, before *unstructured.Unstructured, version int64) {
	u.SetResourceVersion(strconv.FormatInt(version, 10))
	uid, created, generation := types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", version)), metav1.NewTime(time.Now()), int64(1)
	if before != nil {
		uid, created, generation = before.GetUID(), before.GetCreationTimestamp(), before.GetGeneration()
		if !reflect.DeepEqual(u.Object["spec"], before.Object["spec"]) {
			generation++
		}
	}
	if u.GetUID() == "" {
		u.SetUID(uid)
	}
	if at := u.GetCreationTimestamp(); at.IsZero() {
		u.SetCreationTimestamp(created)
	}
	if u.GetGeneration() == 0 || before != nil && u.GetGeneration() == before.GetGeneration() {
		u.SetGeneration(generation)
	}
}

// unstructured returns an object in unstructured form, and its resource.
func (s *Server) unstructured(object client.Object) (*unstructured.Unstructured, resource, error) {
	gvk, err := apiutil.GVKForObject(object, s.scheme)
	if err != nil {
		return nil, resource{}, fmt.Errorf("%w: %w", errUnknownKind, err)
	}
	of, _, err := s.resourceFor(gvk)
	if err != nil {
		return nil, resource{}, err
	}
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, resource{}, fmt.Errorf("encode %s %s: %w", gvk.Kind, object.GetName(), err)
	}
	u := &unstructured.Unstructured{}
	if err := decode(raw, u); err != nil {
		return nil, resource{}, err
	}
	u.SetGroupVersionKind(gvk)
	return u, of, nil
}

// resourceFor returns the resource of a kind, and whether it has namespaces.
func (s *Server) resourceFor(gvk schema.GroupVersionKind) (of resource, namespaced bool, err error) {
	mapping, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return resource{}, false, fmt.Errorf("%w: %w", errUnknownKind, err)
	}
	return resource{mapping.Resource, gvk}, mapping.Scope.Name() == meta.RESTScopeNameNamespace, nil
}
