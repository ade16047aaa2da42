package clitest

import (
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
)

// patch handles merge patches, JSON patches and server-side apply, as client-go's
// fake clientset does. Strategic merge patches are not supported: objects are
// unstructured here.
func (s *Server) patch(w http.ResponseWriter, r *http.Request, c call) {
	raw, err := body(r)
	if err != nil {
		respondError(w, err)
		return
	}
	kind, query := types.PatchType(r.Header.Get("Content-Type")), r.URL.Query()
	options := metav1.PatchOptions{FieldManager: query.Get("fieldManager"), Force: new(query.Get("force") == "true")}
	code := http.StatusOK
	switch exists := s.store.get(c.resource, c.Namespace, c.Name) != nil; {
	case kind == types.ApplyPatchType && options.FieldManager == "":
		respondError(w, apierrors.NewBadRequest("fieldManager is required for apply patch"))
		return
	case kind == types.ApplyPatchType && !exists:
		code = http.StatusCreated
	case !exists:
		respondError(w, apierrors.NewNotFound(c.gvr.GroupResource(), c.Name))
		return
	case kind == types.StrategicMergePatchType:
		respondError(w, unsupportedPatch(c, kind))
		return
	}
	if options.FieldManager == "" {
		options.FieldManager = defaultManager
	}
	action := clienttesting.NewPatchActionWithOptions(c.gvr, c.Namespace, c.Name, kind, raw, options)
	s.change(w, r, c, code, func(tracker clienttesting.ObjectTracker, before *unstructured.Unstructured) error {
		_, patched, err := clienttesting.ObjectReaction(tracker)(action)
		if err != nil {
			return clientError(err)
		}
		u, is := patched.(*unstructured.Unstructured)
		if !is {
			return fmt.Errorf("patch %s: the tracker returned a %T", c.Name, patched)
		}
		return checkVersion(c, before, u)
	})
}

// clientError returns the error of a tracker as an API server reports it: what
// is not a status is the fault of the request.
func clientError(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return err
	}
	return apierrors.NewBadRequest(err.Error())
}

func unsupportedPatch(c call, kind types.PatchType) error {
	return apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, c.Verb, c.gvr.GroupResource(), c.Name,
		fmt.Sprintf("patches of type %q are not supported here", kind), 0, false)
}
