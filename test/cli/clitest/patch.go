package clitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"
)

func (s *Server) patch(w http.ResponseWriter, r *http.Request, c call) {
	raw, err := body(r)
	if err != nil {
		answerError(w, err)
		return
	}
	kind := types.PatchType(r.Header.Get("Content-Type"))
	if kind == types.ApplyYAMLPatchType {
		s.apply(w, r, c, raw)
		return
	}
	before := s.store.get(c.gvr, c.Namespace, c.Name)
	if before == nil {
		answerError(w, apierrors.NewNotFound(c.gvr.GroupResource(), c.Name))
		return
	}
	u, err := s.patched(c, kind, before, raw)
	if err != nil {
		answerError(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	s.replace(w, r, c, before, u)
}

func (s *Server) patched(c call, kind types.PatchType, before *unstructured.Unstructured, raw []byte) (*unstructured.Unstructured, error) {
	document, err := json.Marshal(before.Object)
	if err != nil {
		return nil, fmt.Errorf("encoding an object: %w", err)
	}
	switch kind {
	case types.JSONPatchType:
		operations, err := jsonpatch.DecodePatch(raw)
		if err != nil {
			return nil, fmt.Errorf("decoding a patch: %w", err)
		}
		document, err = operations.Apply(document)
		if err != nil {
			return nil, fmt.Errorf("applying a patch: %w", err)
		}
	case types.StrategicMergePatchType:
		typed, err := s.scheme.New(c.gvk)
		if err != nil {
			return nil, fmt.Errorf("a strategic merge patch of %s: %w", c.gvk.Kind, err)
		}
		document, err = strategicpatch.StrategicMergePatch(document, raw, typed)
		if err != nil {
			return nil, fmt.Errorf("applying a patch: %w", err)
		}
	case types.MergePatchType:
		document, err = jsonpatch.MergePatch(document, raw)
		if err != nil {
			return nil, fmt.Errorf("applying a patch: %w", err)
		}
	default:
		return nil, fmt.Errorf("a patch of type %q is not supported", kind)
	}
	u := &unstructured.Unstructured{}
	return u, decode(document, u)
}

// apply is server-side apply: fields that another manager owns and that differ
// are conflicts, unless the client forces.
func (s *Server) apply(w http.ResponseWriter, r *http.Request, c call, raw []byte) {
	asJSON, err := yaml.YAMLToJSON(raw)
	if err != nil {
		answerError(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	applied := &unstructured.Unstructured{}
	if err := decode(asJSON, applied); err != nil {
		answerError(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	manager := r.URL.Query().Get("fieldManager")
	if manager == "" {
		answerError(w, apierrors.NewBadRequest("fieldManager is required for apply patch"))
		return
	}
	applied.SetNamespace(c.Namespace)
	applied.SetManagedFields(nil)
	live := s.store.get(c.gvr, c.Namespace, c.Name)
	code := http.StatusOK
	if live == nil {
		code = http.StatusCreated
		live = &unstructured.Unstructured{Object: map[string]any{}}
		live.SetGroupVersionKind(c.gvk)
		live.SetName(c.Name)
		live.SetNamespace(c.Namespace)
	}
	fields, err := s.fieldManager(c)
	if err != nil {
		answerError(w, err)
		return
	}
	merged, err := fields.Apply(live, applied, manager, r.URL.Query().Get("force") == "true")
	if err != nil {
		answerError(w, err)
		return
	}
	u, ok := merged.(*unstructured.Unstructured)
	if !ok {
		answerError(w, errors.New("server-side apply made no unstructured object"))
		return
	}
	s.keep(w, r, c, code, u)
}

// own notes who changed which fields.
func (s *Server) own(r *http.Request, c call, before, after *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	manager := r.URL.Query().Get("fieldManager")
	if manager == "" {
		manager = "test"
	}
	if before == nil {
		before = &unstructured.Unstructured{Object: map[string]any{}}
		before.SetGroupVersionKind(c.gvk)
	}
	after.SetGroupVersionKind(c.gvk)
	fields, err := s.fieldManager(c)
	if err != nil {
		return nil, err
	}
	owned, err := fields.Update(before, after, manager)
	if err != nil {
		return nil, fmt.Errorf("noting who owns fields: %w", err)
	}
	u, ok := owned.(*unstructured.Unstructured)
	if !ok {
		return nil, errors.New("noting who owns fields made no unstructured object")
	}
	return u, nil
}

func (s *Server) fieldManager(c call) (*managedfields.FieldManager, error) {
	m, err := managedfields.NewDefaultCRDFieldManager(managedfields.NewDeducedTypeConverter(), asIs{}, noDefaults{}, unstructuredCreater{},
		c.gvk, c.gvk.GroupVersion(), c.sub, nil)
	if err != nil {
		return nil, fmt.Errorf("managing fields of %s: %w", c.gvk.Kind, err)
	}
	return m, nil
}

// asIs converts nothing: every kind has one version here.
type asIs struct{}

func (asIs) Convert(_, _, _ any) error { return errors.New("nothing is converted here") }

func (asIs) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (asIs) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

type noDefaults struct{}

func (noDefaults) Default(runtime.Object) {}

type unstructuredCreater struct{}

func (unstructuredCreater) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(kind)
	return u, nil
}
