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
)

func asStatus(err error, into **apierrors.StatusError) bool { return errors.As(err, into) }

func dry(r *http.Request) bool { return slices.Contains(r.URL.Query()["dryRun"], metav1.DryRunAll) }

// read the object in a request; what the kind does not know is refused where
// the client asked for that.
func (s *Server) read(r *http.Request, c call) (*unstructured.Unstructured, error) {
	raw, err := body(r)
	if err != nil {
		return nil, err
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
	return u, nil
}

func (s *Server) create(w http.ResponseWriter, r *http.Request, c call) {
	u, err := s.read(r, c)
	if err != nil {
		answerError(w, err)
		return
	}
	if s.review(w, c, u) {
		return
	}
	if u.GetName() == "" && u.GetGenerateName() != "" {
		u.SetName(fmt.Sprintf("%s%05d", u.GetGenerateName(), time.Now().UnixNano()%100000))
	}
	if err := s.mayExist(c, u); err != nil {
		answerError(w, err)
		return
	}
	u, err = s.own(r, c, nil, u)
	if err != nil {
		answerError(w, err)
		return
	}
	s.keep(w, r, c, http.StatusCreated, u)
}

func (s *Server) mayExist(c call, u *unstructured.Unstructured) error {
	if s.store.get(c.gvr, u.GetNamespace(), u.GetName()) != nil {
		return apierrors.NewAlreadyExists(c.gvr.GroupResource(), u.GetName())
	}
	if u.GetName() == "" {
		return apierrors.NewBadRequest("name or generateName is required")
	}
	return nil
}

// keep stores an object, unless it is for show only, and answers it.
func (s *Server) keep(w http.ResponseWriter, r *http.Request, c call, code int, u *unstructured.Unstructured) {
	u.SetGroupVersionKind(c.gvk)
	if dry(r) {
		complete(u, s.store.get(c.gvr, u.GetNamespace(), u.GetName()), 0)
		u.SetResourceVersion("")
	} else {
		u = s.store.put(c.gvr, u)
		if u.GetDeletionTimestamp() != nil && len(u.GetFinalizers()) == 0 {
			s.store.drop(c.gvr, u.GetNamespace(), u.GetName())
		}
	}
	answer(w, code, u.Object)
}

func (s *Server) update(w http.ResponseWriter, r *http.Request, c call) {
	u, err := s.read(r, c)
	if err != nil {
		answerError(w, err)
		return
	}
	before := s.store.get(c.gvr, c.Namespace, c.Name)
	if before == nil {
		answerError(w, apierrors.NewNotFound(c.gvr.GroupResource(), c.Name))
		return
	}
	s.replace(w, r, c, before, u)
}

// replace an object by its newer form.
func (s *Server) replace(w http.ResponseWriter, r *http.Request, c call, before, u *unstructured.Unstructured) {
	if version := u.GetResourceVersion(); version != "" && version != before.GetResourceVersion() {
		answerError(w, apierrors.NewConflict(c.gvr.GroupResource(), c.Name,
			errors.New("the object has been modified; please apply your changes to the latest version and try again")))
		return
	}
	if c.sub == "status" {
		whole := before.DeepCopy()
		whole.Object["status"] = u.Object["status"]
		u = whole
	} else if _, had := before.Object["status"]; had && u.Object["status"] == nil {
		u.Object["status"] = before.Object["status"]
	}
	u, err := s.own(r, c, before, u)
	if err != nil {
		answerError(w, err)
		return
	}
	s.keep(w, r, c, http.StatusOK, u)
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request, c call) {
	before := s.store.get(c.gvr, c.Namespace, c.Name)
	if before == nil {
		answerError(w, apierrors.NewNotFound(c.gvr.GroupResource(), c.Name))
		return
	}
	raw, err := body(r)
	if err != nil {
		answerError(w, err)
		return
	}
	if dry(r) || strings.Contains(string(raw), `"dryRun":["All"]`) {
		answer(w, http.StatusOK, before.Object)
		return
	}
	if len(before.GetFinalizers()) == 0 {
		s.store.drop(c.gvr, c.Namespace, c.Name)
		answer(w, http.StatusOK, before.Object)
		return
	}
	if before.GetDeletionTimestamp() == nil {
		now := metav1.NewTime(time.Now().Truncate(time.Second))
		before.SetDeletionTimestamp(&now)
		before = s.store.put(c.gvr, before)
	}
	answer(w, http.StatusOK, before.Object)
}

// review answers questions about rights: what the rules refuse is not allowed.
func (s *Server) review(w http.ResponseWriter, c call, u *unstructured.Unstructured) bool {
	if c.gvk.Kind != "SelfSubjectAccessReview" {
		return false
	}
	get := func(field string) string {
		text, _, _ := unstructured.NestedString(u.Object, "spec", "resourceAttributes", field)
		return text
	}
	resource := get("resource")
	if sub := get("subresource"); sub != "" {
		resource += "/" + sub
	}
	asked := Request{Verb: get("verb"), Resource: resource, Namespace: get("namespace"), Name: get("name")}
	allowed := true
	s.mu.Lock()
	for _, rule := range s.rules {
		if rule.forbids && rule.match.covers(asked) {
			allowed = false
		}
	}
	s.mu.Unlock()
	u.SetGroupVersionKind(c.gvk)
	u.Object["status"] = map[string]any{"allowed": allowed}
	answer(w, http.StatusCreated, u.Object)
	return true
}
