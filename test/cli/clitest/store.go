package clitest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// key of an object.
type key struct {
	gvr             schema.GroupVersionResource
	namespace, name string
}

// event is one change, for watches that begin later.
type event struct {
	key     key
	version int64
	kind    watch.EventType
	object  *unstructured.Unstructured
}

// store holds objects and every change ever made to them.
type store struct {
	mu      sync.Mutex
	objects map[key]*unstructured.Unstructured
	events  []event
	version int64
	// changed is closed at the next change.
	changed chan struct{}
}

func newStore() *store {
	return &store{objects: map[key]*unstructured.Unstructured{}, version: 1, changed: make(chan struct{})}
}

func (s *store) get(gvr schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.objects[key{gvr, namespace, name}]; found != nil {
		return found.DeepCopy()
	}
	return nil
}

// list in the order of namespaces and names, with the version it is of.
func (s *store) list(gvr schema.GroupVersionResource, namespace string) ([]unstructured.Unstructured, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []unstructured.Unstructured
	for k, object := range s.objects {
		if k.gvr == gvr && (namespace == "" || k.namespace == namespace) {
			found = append(found, *object.DeepCopy())
		}
	}
	slices.SortFunc(found, func(a, b unstructured.Unstructured) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
	})
	return found, s.version
}

// put stores an object as the newest and answers how it is stored.
func (s *store) put(gvr schema.GroupVersionResource, u *unstructured.Unstructured) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{gvr, u.GetNamespace(), u.GetName()}
	u = u.DeepCopy()
	before := s.objects[k]
	complete(u, before, s.version+1)
	kind := watch.Added
	if before != nil {
		kind = watch.Modified
	}
	s.objects[k] = u
	s.note(k, kind, u)
	return u.DeepCopy()
}

func (s *store) drop(gvr schema.GroupVersionResource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{gvr, namespace, name}
	before := s.objects[k]
	if before == nil {
		return
	}
	delete(s.objects, k)
	last := before.DeepCopy()
	last.SetResourceVersion(strconv.FormatInt(s.version+1, 10))
	s.note(k, watch.Deleted, last)
}

func (s *store) note(k key, kind watch.EventType, u *unstructured.Unstructured) {
	s.version++
	s.events = append(s.events, event{key: k, version: s.version, kind: kind, object: u.DeepCopy()})
	close(s.changed)
	s.changed = make(chan struct{})
}

// since answers the changes after a version, and what is closed at the next.
func (s *store) since(version int64) ([]event, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := len(s.events)
	for at > 0 && s.events[at-1].version > version {
		at--
	}
	return slices.Clone(s.events[at:]), s.changed
}

// complete sets what the server sets.
func complete(u, before *unstructured.Unstructured, version int64) {
	u.SetResourceVersion(strconv.FormatInt(version, 10))
	if before == nil {
		if u.GetUID() == "" {
			u.SetUID(types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", version)))
		}
		if created := u.GetCreationTimestamp(); created.IsZero() {
			u.SetCreationTimestamp(metav1.NewTime(time.Now()))
		}
		if u.GetGeneration() == 0 {
			u.SetGeneration(1)
		}
		return
	}
	if u.GetUID() == "" {
		u.SetUID(before.GetUID())
	}
	if created := u.GetCreationTimestamp(); created.IsZero() {
		u.SetCreationTimestamp(before.GetCreationTimestamp())
	}
	if u.GetGeneration() == 0 || u.GetGeneration() == before.GetGeneration() {
		u.SetGeneration(before.GetGeneration())
		if !reflect.DeepEqual(u.Object["spec"], before.Object["spec"]) {
			u.SetGeneration(before.GetGeneration() + 1)
		}
	}
}

// unstructured form of an object, and its resource.
func (s *Server) unstructured(object client.Object) (*unstructured.Unstructured, schema.GroupVersionResource, error) {
	gvk, err := apiutil.GVKForObject(object, s.scheme)
	if err != nil {
		return nil, schema.GroupVersionResource{}, fmt.Errorf("%w: %w", errNoKind, err)
	}
	mapping, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, schema.GroupVersionResource{}, fmt.Errorf("%w: %w", errNoKind, err)
	}
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, schema.GroupVersionResource{}, fmt.Errorf("encoding %s %s: %w", gvk.Kind, object.GetName(), err)
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw, &u.Object); err != nil {
		return nil, schema.GroupVersionResource{}, fmt.Errorf("decoding %s %s: %w", gvk.Kind, object.GetName(), err)
	}
	if err := numbers(u); err != nil {
		return nil, schema.GroupVersionResource{}, err
	}
	u.SetGroupVersionKind(gvk)
	return u, mapping.Resource, nil
}

// numbers makes whole numbers int64, as deep copies want them.
func numbers(u *unstructured.Unstructured) error {
	raw, err := json.Marshal(u.Object)
	if err != nil {
		return fmt.Errorf("encoding an object: %w", err)
	}
	return decode(raw, u)
}
