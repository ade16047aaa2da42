package clitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// call is one parsed request.
type call struct {
	Request
	resource
	// sub is the subresource, or "".
	sub  string
	user string
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.discover(w, r) {
		return
	}
	c, err := s.parse(r)
	if err != nil {
		respondError(w, err)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, c.Request)
	s.mu.Unlock()
	if s.applyRules(w, r, c) {
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
		respondError(w, apierrors.NewMethodNotSupported(c.gvr.GroupResource(), c.Verb))
	}
}

// parse splits the path of a request: /api/v1/… or /apis/group/version/….
func (s *Server) parse(r *http.Request) (call, error) {
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
			return "create" // RBAC's verb, also for the GET of a WebSocket
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
	found := s.store.get(c.resource, c.Namespace, c.Name)
	if found == nil {
		respondError(w, apierrors.NewNotFound(c.gvr.GroupResource(), c.Name))
		return
	}
	respond(w, http.StatusOK, found.Object)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, c call) {
	matches, err := selectorOf(r)
	if err != nil {
		respondError(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	objects, version, err := s.store.list(c.resource, c.Namespace)
	if err != nil {
		respondError(w, err)
		return
	}
	items := []any{}
	for _, object := range objects {
		if matches(&object) {
			items = append(items, object.Object)
		}
	}
	respond(w, http.StatusOK, map[string]any{
		"apiVersion": c.gvr.GroupVersion().String(), "kind": c.gvk.Kind + "List",
		"metadata": map[string]any{"resourceVersion": fmt.Sprint(version)}, "items": items,
	})
}

func respond(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client may have disconnected
}

func respondError(w http.ResponseWriter, err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		status = apierrors.NewInternalError(err)
	}
	body := status.Status()
	body.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	respond(w, int(body.Code), body)
}

// decode decodes JSON; integers stay int64.
func decode(raw []byte, u *unstructured.Unstructured) error {
	u.Object = nil
	if err := utiljson.Unmarshal(raw, &u.Object); err != nil {
		return fmt.Errorf("decode an object: %w", err)
	}
	return nil
}

func body(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return nil, fmt.Errorf("read a request: %w", err)
	}
	return raw, nil
}
