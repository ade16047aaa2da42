package clitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// selectorOf parses labelSelector and fieldSelector. Every string field can be
// selected, where a real server supports a few.
func selectorOf(r *http.Request) (func(*unstructured.Unstructured) bool, error) {
	byLabel, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, fmt.Errorf("parse labelSelector: %w", err)
	}
	byField, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		return nil, fmt.Errorf("parse fieldSelector: %w", err)
	}
	return func(u *unstructured.Unstructured) bool {
		if !byLabel.Matches(labels.Set(u.GetLabels())) {
			return false
		}
		for _, requirement := range byField.Requirements() {
			text, _, _ := unstructured.NestedString(u.Object, strings.Split(requirement.Field, ".")...)
			if equal := text == requirement.Value; equal == (requirement.Operator == "!=") {
				return false
			}
		}
		return true
	}, nil
}

// watch sends changes until the client disconnects, timeoutSeconds have passed or
// the server closes. Without a resourceVersion it begins with the existing objects.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, c call) {
	matches, err := selectorOf(r)
	if err != nil {
		respondError(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	if c.Name != "" {
		inner := matches
		matches = func(u *unstructured.Unstructured) bool { return u.GetName() == c.Name && inner(u) }
	}
	objects, now, err := s.store.list(c.resource, c.Namespace)
	if err != nil {
		respondError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	send := sender(w)
	version, _ := strconv.ParseInt(r.URL.Query().Get("resourceVersion"), 10, 64)
	shown := map[objectKey]bool{}
	for i := range objects {
		if matches(&objects[i]) {
			shown[objectKey{c.gvr, objects[i].GetNamespace(), objects[i].GetName()}] = true
			if version == 0 {
				send(watch.Added, &objects[i])
			}
		}
	}
	if version == 0 {
		version = now
	}
	end := limit(r)
	for {
		events, changed := s.store.since(version)
		for _, e := range events {
			version = e.version
			if e.key.gvr == c.gvr && (c.Namespace == "" || e.key.namespace == c.Namespace) {
				forward(e, matches(e.object), shown, send)
			}
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-s.done.Done():
			return
		case <-end:
			return
		}
	}
}

// forward sends one change as the selector of a watch requires: an object that
// no longer matches is deleted.
func forward(e event, matches bool, shown map[objectKey]bool, send func(watch.EventType, *unstructured.Unstructured)) {
	was := shown[e.key]
	switch {
	case e.kind == watch.Deleted || !matches:
		if was || e.kind == watch.Deleted && matches {
			delete(shown, e.key)
			send(watch.Deleted, e.object)
		}
	case was && e.kind != watch.Added:
		send(watch.Modified, e.object)
	default:
		shown[e.key] = true
		send(watch.Added, e.object)
	}
}

// limit returns a channel that fires after timeoutSeconds, or nil without it.
func limit(r *http.Request) <-chan time.Time {
	seconds, err := strconv.Atoi(r.URL.Query().Get("timeoutSeconds"))
	if err != nil || seconds <= 0 {
		return nil
	}
	return time.After(time.Duration(seconds) * time.Second)
}

// sender returns a function that writes one event.
func sender(w http.ResponseWriter) func(watch.EventType, *unstructured.Unstructured) {
	controller := http.NewResponseController(w)
	encoder := json.NewEncoder(w)
	_ = controller.Flush()
	return func(kind watch.EventType, u *unstructured.Unstructured) {
		raw, err := json.Marshal(u.Object)
		if err != nil {
			return
		}
		_ = encoder.Encode(metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: raw}})
		_ = controller.Flush()
	}
}
