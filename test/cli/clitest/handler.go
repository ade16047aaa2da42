package clitest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// call is one request, understood.
type call struct {
	Request
	sub  string
	gvr  schema.GroupVersionResource
	gvk  schema.GroupVersionKind
	user string
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.discover(w, r) {
		return
	}
	c, err := s.understand(r)
	if err != nil {
		answerError(w, err)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, c.Request)
	s.mu.Unlock()
	if s.interfere(w, r, c) {
		return
	}
	switch c.Verb {
	case "get":
		s.get(w, c)
	case "list":
		s.list(w, r, c)
	case "watch":
		s.watch(w, r, c)
	case "create":
		if c.sub == "portforward" {
			s.portForward(w, r, c)
			return
		}
		s.create(w, r, c)
	case "update":
		s.update(w, r, c)
	case "patch":
		s.patch(w, r, c)
	case "delete":
		s.remove(w, r, c)
	default:
		answerError(w, apierrors.NewMethodNotSupported(c.gvr.GroupResource(), c.Verb))
	}
}

// understand takes the path apart: /api/v1/… or /apis/group/version/….
func (s *Server) understand(r *http.Request) (call, error) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	unknown := apierrors.NewGenericServerResponse(http.StatusNotFound, r.Method, schema.GroupResource{}, "",
		"the server could not find the requested resource", 0, false)
	var c call
	switch {
	case len(parts) > 2 && parts[0] == "api":
		c.gvr.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		c.gvr.Group, c.gvr.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return c, unknown
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		c.Namespace, parts = parts[1], parts[2:]
	}
	c.gvr.Resource = parts[0]
	if len(parts) > 1 {
		c.Name = parts[1]
	}
	c.Resource = c.gvr.Resource
	if len(parts) > 2 {
		c.sub = parts[2]
		c.Resource += "/" + c.sub
	}
	kind, err := s.mapper.KindFor(c.gvr)
	if err != nil || kind.Group != c.gvr.Group || kind.Version != c.gvr.Version {
		return c, unknown
	}
	c.gvk, c.Query = kind, r.URL.RawQuery
	c.Verb = verb(r, c)
	c.user = r.Header.Get("Impersonate-User")
	if c.user == "" {
		c.user = User
	}
	return c, nil
}

func verb(r *http.Request, c call) string {
	switch r.Method {
	case http.MethodGet:
		switch {
		case c.sub == "portforward":
			return "create" // as kubectl calls it, whatever carries it
		case r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1":
			return "watch"
		case c.Name == "":
			return "list"
		}
		return "get"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if c.Name == "" {
			return "deletecollection"
		}
		return "delete"
	}
	return strings.ToLower(r.Method)
}

func (s *Server) get(w http.ResponseWriter, c call) {
	found := s.store.get(c.gvr, c.Namespace, c.Name)
	if found == nil {
		answerError(w, apierrors.NewNotFound(c.gvr.GroupResource(), c.Name))
		return
	}
	answer(w, http.StatusOK, found.Object)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, c call) {
	matches, err := selectorOf(r)
	if err != nil {
		answerError(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	objects, version := s.store.list(c.gvr, c.Namespace)
	items := []any{}
	for _, object := range objects {
		if matches(&object) {
			items = append(items, object.Object)
		}
	}
	answer(w, http.StatusOK, map[string]any{
		"apiVersion": c.gvr.GroupVersion().String(), "kind": c.gvk.Kind + "List",
		"metadata": map[string]any{"resourceVersion": fmt.Sprint(version)}, "items": items,
	})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // whoever asked may be gone
}

func answerError(w http.ResponseWriter, err error) {
	var status apierrors.APIStatus
	var known *apierrors.StatusError
	if asStatus(err, &known) {
		status = known
	} else {
		status = apierrors.NewInternalError(err)
	}
	body := status.Status()
	body.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	answer(w, int(body.Code), body)
}

// decode keeps whole numbers whole.
func decode(raw []byte, u *unstructured.Unstructured) error {
	u.Object = nil
	if err := utiljson.Unmarshal(raw, &u.Object); err != nil {
		return fmt.Errorf("decoding an object: %w", err)
	}
	return nil
}

func body(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return nil, fmt.Errorf("reading a request: %w", err)
	}
	return raw, nil
}

// discover answers what kubectl asks before anything else.
func (s *Server) discover(w http.ResponseWriter, r *http.Request) bool {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.Method != http.MethodGet {
		return false
	}
	switch {
	case r.URL.Path == "/version":
		answer(w, http.StatusOK, map[string]string{"major": "1", "minor": "34", "gitVersion": "v1.34.0", "platform": "test/test"})
	case r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/livez":
		_, _ = io.WriteString(w, "ok")
	case r.URL.Path == "/api":
		answer(w, http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case r.URL.Path == "/apis":
		answer(w, http.StatusOK, s.groups())
	case len(parts) == 2 && parts[0] == "api":
		answer(w, http.StatusOK, s.resources(schema.GroupVersion{Version: parts[1]}))
	case len(parts) == 3 && parts[0] == "apis":
		answer(w, http.StatusOK, s.resources(schema.GroupVersion{Group: parts[1], Version: parts[2]}))
	default:
		return false
	}
	return true
}

func (s *Server) groups() metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroupList"}}
	for _, gv := range s.scheme.PrioritizedVersionsAllGroups() {
		if gv.Group == "" || gv.Version == "__internal" {
			continue
		}
		v := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		list.Groups = append(list.Groups, metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
	}
	return list
}

func (s *Server) resources(gv schema.GroupVersion) metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: gv.String()}
	for kind := range s.scheme.KnownTypes(gv) {
		if strings.HasSuffix(kind, "List") || strings.HasSuffix(kind, "Options") || kind == "WatchEvent" || kind == "Status" {
			continue
		}
		mapping, err := s.mapper.RESTMapping(schema.GroupKind{Group: gv.Group, Kind: kind}, gv.Version)
		if err != nil {
			continue
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: mapping.Resource.Resource, SingularName: strings.ToLower(kind), Kind: kind,
			Namespaced: mapping.Scope.Name() == meta.RESTScopeNameNamespace,
			Verbs:      metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"},
		})
	}
	return list
}
