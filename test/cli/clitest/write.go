package clitest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	clienttesting "k8s.io/client-go/testing"
)

// defaultManager owns the fields of requests that name no field manager.
const defaultManager = "test"

func isDryRun(r *http.Request) bool {
	return slices.Contains(r.URL.Query()["dryRun"], metav1.DryRunAll)
}

// read returns the object of a request, in JSON or protobuf. With strict field
// validation an unknown field is an error.
func (s *Server) read(r *http.Request, c call) (*unstructured.Unstructured, error) {
	raw, err := body(r)
	if err != nil {
		return nil, err
	}
	if r.Header.Get("Content-Type") == runtime.ContentTypeProtobuf {
		if raw, err = s.toJSON(raw, c); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	u := &unstructured.Unstructured{}
	if err := decode(raw, u); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if r.URL.Query().Get("fieldValidation") == metav1.FieldValidationStrict && s.scheme.Recognizes(c.gvk) {
		strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, s.scheme, s.scheme, json.SerializerOptions{Strict: true})
		if _, _, err := strict.Decode(raw, &c.gvk, nil); err != nil && runtime.IsStrictDecodingError(err) {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", c.gvk.Kind, c.gvk.Version, c.gvk.Kind, err))
		}
	}
	if u.GetNamespace() == "" {
		u.SetNamespace(c.Namespace)
	}
	if u.GetNamespace() != c.Namespace {
		return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	u.SetGroupVersionKind(c.gvk)
	return u, nil
}

// toJSON converts an object in protobuf, as clients send built-in kinds.
func (s *Server) toJSON(raw []byte, c call) ([]byte, error) {
	object, _, err := protobuf.NewSerializer(s.scheme, s.scheme).Decode(raw, &c.gvk, nil)
	if err != nil {
		return nil, fmt.Errorf("decode a %s in protobuf: %w", c.gvk.Kind, err)
	}
	out, err := runtime.Encode(json.NewSerializerWithOptions(json.DefaultMetaFactory, s.scheme, s.scheme, json.SerializerOptions{}), object)
	if err != nil {
		return nil, fmt.Errorf("encode a %s in JSON: %w", c.gvk.Kind, err)
	}
	return out, nil
}

// change runs do on the object of the request and responds with what results.
// do gets the tracker, and the object as it was or nil.
func (s *Server) change(w http.ResponseWriter, r *http.Request, c call, code int, do func(clienttesting.ObjectTracker, *unstructured.Unstructured) error) {
	u, err := s.store.change(c.resource, c.Namespace, c.Name, isDryRun(r), func(tracker clienttesting.ObjectTracker) error {
		return do(tracker, find(tracker, c.resource, c.Namespace, c.Name))
	})
	if err != nil {
		respondError(w, err)
		return
	}
	respond(w, code, u.Object)
}

func manager(r *http.Request) string {
	if name := r.URL.Query().Get("fieldManager"); name != "" {
		return name
	}
	return defaultManager
}

func (s *Server) create(w http.ResponseWriter, r *http.Request, c call) {
	u, err := s.read(r, c)
	if err != nil {
		respondError(w, err)
		return
	}
	if c.gvk.Kind == "SelfSubjectAccessReview" {
		s.review(w, c, u)
		return
	}
	if u.GetName() == "" && u.GetGenerateName() != "" {
		u.SetName(u.GetGenerateName() + utilrand.String(5))
	}
	if u.GetName() == "" {
		respondError(w, apierrors.NewBadRequest("name or generateName is required"))
		return
	}
	c.Name = u.GetName()
	s.change(w, r, c, http.StatusCreated, func(tracker clienttesting.ObjectTracker, _ *unstructured.Unstructured) error {
		return tracker.Create(c.gvr, u, c.Namespace, metav1.CreateOptions{FieldManager: manager(r)})
	})
}

func (s *Server) update(w http.ResponseWriter, r *http.Request, c call) {
	u, err := s.read(r, c)
	if err != nil {
		respondError(w, err)
		return
	}
	s.change(w, r, c, http.StatusOK, func(tracker clienttesting.ObjectTracker, before *unstructured.Unstructured) error {
		if before == nil {
			return apierrors.NewNotFound(c.gvr.GroupResource(), c.Name)
		}
		if err := checkVersion(c, before, u); err != nil {
			return err
		}
		if _, had := before.Object["status"]; had && u.Object["status"] == nil {
			u.Object["status"] = before.Object["status"]
		}
		return tracker.Update(c.gvr, u, c.Namespace, metav1.UpdateOptions{FieldManager: manager(r)})
	})
}

// checkVersion returns a conflict if u is of another version than the object
// that is stored.
func checkVersion(c call, before, u *unstructured.Unstructured) error {
	if version := u.GetResourceVersion(); before == nil || version == "" || version == before.GetResourceVersion() {
		return nil
	}
	return apierrors.NewConflict(c.gvr.GroupResource(), c.Name,
		errors.New("the object has been modified; please apply your changes to the latest version and try again"))
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request, c call) {
	before := s.store.get(c.resource, c.Namespace, c.Name)
	if before == nil {
		respondError(w, apierrors.NewNotFound(c.gvr.GroupResource(), c.Name))
		return
	}
	raw, err := body(r)
	if err != nil {
		respondError(w, err)
		return
	}
	switch {
	case isDryRun(r) || strings.Contains(string(raw), `"dryRun":["All"]`):
	case len(before.GetFinalizers()) == 0:
		err = s.store.drop(c.resource, c.Namespace, c.Name)
	case before.GetDeletionTimestamp() == nil:
		now := metav1.NewTime(time.Now().Truncate(time.Second))
		before.SetDeletionTimestamp(&now)
		err = s.store.put(c.resource, before)
	}
	if err != nil {
		respondError(w, err)
		return
	}
	respond(w, http.StatusOK, before.Object)
}

// review responds to a SelfSubjectAccessReview: a request is allowed unless a
// rule forbids it.
func (s *Server) review(w http.ResponseWriter, c call, u *unstructured.Unstructured) {
	get := func(field string) string {
		text, _, _ := unstructured.NestedString(u.Object, "spec", "resourceAttributes", field)
		return text
	}
	resource := get("resource")
	if sub := get("subresource"); sub != "" {
		resource += "/" + sub
	}
	reviewed := Request{Verb: get("verb"), Resource: resource, Namespace: get("namespace"), Name: get("name")}
	allowed := true
	s.mu.Lock()
	for _, rule := range s.rules {
		if rule.forbids && rule.match.covers(reviewed) {
			allowed = false
		}
	}
	s.mu.Unlock()
	u.SetGroupVersionKind(c.gvk)
	u.Object["status"] = map[string]any{"allowed": allowed}
	respond(w, http.StatusCreated, u.Object)
}
