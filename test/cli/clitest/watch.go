package clitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// selectorOf reads labelSelector and fieldSelector. Any field of an object that
// is text can be selected by, which is more than a real server lets one do.
func selectorOf(r *http.Request) (func(*unstructured.Unstructured) bool, error) {
	byLabel, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, fmt.Errorf("reading labelSelector: %w", err)
	}
	byField, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		return nil, fmt.Errorf("reading fieldSelector: %w", err)
	}
	return func(u *unstructured.Unstructured) bool {
		if !byLabel.Matches(labels.Set(u.GetLabels())) {
			return false
		}
		for _, requirement := range byField.Requirements() {
			text, _, _ := unstructured.NestedString(u.Object, splitField(requirement.Field)...)
			if equal := text == requirement.Value; equal == (requirement.Operator == "!=") {
				return false
			}
		}
		return true
	}, nil
}

func splitField(path string) []string {
	var parts []string
	for {
		at := -1
		for i := range path {
			if path[i] == '.' {
				at = i
				break
			}
		}
		if at < 0 {
			return append(parts, path)
		}
		parts, path = append(parts, path[:at]), path[at+1:]
	}
}

// watch sends changes until the client goes, timeoutSeconds have passed or the
// server closes. Without a resourceVersion it begins with what there is.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, c call) {
	matches, err := selectorOf(r)
	if err != nil {
		answerError(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	if c.Name != "" {
		inner := matches
		matches = func(u *unstructured.Unstructured) bool { return u.GetName() == c.Name && inner(u) }
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	send := sender(w)
	version, _ := strconv.ParseInt(r.URL.Query().Get("resourceVersion"), 10, 64)
	shown := map[key]bool{}
	objects, now := s.store.list(c.gvr, c.Namespace)
	for i := range objects {
		if matches(&objects[i]) {
			shown[key{c.gvr, objects[i].GetNamespace(), objects[i].GetName()}] = true
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

// forward one change as a selector sees it: what no longer matches is deleted.
func forward(e event, matches bool, shown map[key]bool, send func(watch.EventType, *unstructured.Unstructured)) {
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

func limit(r *http.Request) <-chan time.Time {
	seconds, err := strconv.Atoi(r.URL.Query().Get("timeoutSeconds"))
	if err != nil || seconds <= 0 {
		return nil
	}
	return time.After(time.Duration(seconds) * time.Second)
}

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
