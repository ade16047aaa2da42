package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxReview is the largest request body in bytes. It contains the new and the
	// old object, which the API server limits to 3 MiB each.
	maxReview = 7 << 20
	// memory is the total size in bytes of the requests that are processed
	// concurrently.
	memory = 64 << 20
	// reviewTimeout is less than the timeout of the API server, 5 s, so that the
	// client gets a message.
	reviewTimeout = 4 * time.Second
	// maxWarning and maxWarnings are the limits of the API server for the length
	// of one warning and of all warnings, in bytes.
	maxWarning, maxWarnings = 256, 4096
)

// request is the part of an AdmissionRequest that is used. The objects are not
// decoded, so that no byte of them changes.
type request struct {
	UID         types.UID                   `json:"uid"`
	Kind        metav1.GroupVersionKind     `json:"kind"`
	Resource    metav1.GroupVersionResource `json:"resource"`
	SubResource string                      `json:"subResource"`
	Name        string                      `json:"name"`
	Namespace   string                      `json:"namespace"`
	Operation   admissionv1.Operation       `json:"operation"`
	Object      json.RawMessage             `json:"object"`
	OldObject   json.RawMessage             `json:"oldObject"`
	DryRun      bool                        `json:"dryRun"`
}

// review handles one request. Errors are reported by rejecting the request.
type review func(ctx context.Context, r *request) *admissionv1.AdmissionResponse

// handler serves a review over HTTP.
type handler struct {
	*Server
	path   string
	review review
}

// ServeHTTP implements http.Handler. A request that is not an AdmissionReview gets
// an HTTP error.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	defer func() { h.metrics.seconds.WithLabelValues(h.path).Observe(time.Since(began).Seconds()) }()
	ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
	defer cancel()
	req, release, failed := h.read(ctx, w, r)
	defer release()
	if failed != nil {
		h.metrics.unreadable.Inc()
		h.o.Logger.Warn("rejected request that is not an AdmissionReview", "path", h.path, "remoteAddr", r.RemoteAddr, "status", failed.status, "error", failed.text)
		http.Error(w, failed.text, failed.status)
		return
	}
	response := h.respond(ctx, req)
	response.UID = req.UID
	response.Warnings = bounded(response.Warnings)
	body, err := marshal(response)
	if err != nil {
		h.o.Logger.Error("encode response", "path", h.path, "error", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err != nil {
		h.o.Logger.Warn("write response", "path", h.path, "error", err)
	}
}

// respond rejects the request if the review panics, because a pod that is admitted
// without its sidecar would start without its data.
func (h *handler) respond(ctx context.Context, r *request) (response *admissionv1.AdmissionResponse) {
	defer func() {
		if cause := recover(); cause != nil {
			h.metrics.panics.Inc()
			h.o.Logger.Error("review panicked", "path", h.path, "panic", cause, "stack", string(debug.Stack()))
			response = refusal(http.StatusInternalServerError, metav1.StatusReasonInternalError,
				"internal error of Jindo's webhook: see the log of Deployment jindo-webhook")
		}
	}()
	return h.review(ctx, r)
}

// unreadable is the HTTP error for a request that is not an AdmissionReview.
type unreadable struct {
	status int
	text   string
}

func (h *handler) read(ctx context.Context, w http.ResponseWriter, r *http.Request) (*request, func(), *unreadable) {
	release := func() {}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, release, &unreadable{http.StatusMethodNotAllowed, "send an AdmissionReview by POST"}
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return nil, release, &unreadable{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Type is %q: send application/json", r.Header.Get("Content-Type"))}
	}
	size := r.ContentLength
	if size > maxReview {
		return nil, release, tooLarge()
	}
	if size < 0 {
		size = maxReview
	}
	if err := h.memory.Acquire(ctx, size); err != nil {
		return nil, release, &unreadable{http.StatusServiceUnavailable, "too many large requests: try again"}
	}
	release = func() { h.memory.Release(size) }
	body, err := readAll(http.MaxBytesReader(w, r.Body, maxReview), r.ContentLength)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, release, tooLarge()
	case err != nil:
		return nil, release, &unreadable{http.StatusBadRequest, fmt.Sprintf("read the request: %v", err)}
	}
	parsed, err := parse(body)
	if err != nil {
		return nil, release, &unreadable{http.StatusBadRequest, err.Error()}
	}
	return parsed, release, nil
}

func isJSON(contentType string) bool {
	if contentType == "application/json" { // as the API server writes it
		return true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}

func tooLarge() *unreadable {
	return &unreadable{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than %d bytes", maxReview)}
}

// readAll reads a body. If its length is known, it allocates the buffer once.
func readAll(body io.Reader, length int64) ([]byte, error) {
	if length <= 0 {
		return io.ReadAll(body)
	}
	text := make([]byte, length)
	_, err := io.ReadFull(body, text)
	return text, err
}

func parse(body []byte) (*request, error) {
	var review envelope
	if err := unmarshal(body, &review); err != nil {
		return nil, fmt.Errorf("the request is not an AdmissionReview in JSON: %w", err)
	}
	switch {
	case review.Kind != "AdmissionReview" || review.APIVersion != admissionv1.SchemeGroupVersion.String():
		return nil, fmt.Errorf("the request is a %.64q of %.64q: send an AdmissionReview of %s", review.Kind, review.APIVersion, admissionv1.SchemeGroupVersion)
	case review.Request == nil:
		return nil, errors.New("the AdmissionReview has no request")
	case review.Request.UID == "":
		return nil, errors.New("the AdmissionReview's request has no uid")
	}
	return review.Request, nil
}

func allow() *admissionv1.AdmissionResponse { return &admissionv1.AdmissionResponse{Allowed: true} }

func refusal(code int32, reason metav1.StatusReason, message string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	}}
}

// misdirected rejects a request that the webhook configuration should not send to
// this path.
func misdirected(r *request, want string) *admissionv1.AdmissionResponse {
	return refusal(http.StatusBadRequest, metav1.StatusReasonBadRequest,
		fmt.Sprintf("this webhook handles %s, and got a request for %s of %.128s: correct the webhook configuration", want, r.Operation, r.Resource.Resource))
}

// bounded truncates and drops warnings as the API server would.
func bounded(warnings []string) []string {
	var kept []string
	total := 0
	for _, w := range warnings {
		if len(w) > maxWarning {
			w = truncate(w, maxWarning-len("…")) + "…"
		}
		if total += len(w); total > maxWarnings {
			break
		}
		kept = append(kept, w)
	}
	return kept
}

// truncate returns at most limit bytes of text, without splitting a character.
func truncate(text string, limit int) string {
	for limit > 0 && text[limit]&0xc0 == 0x80 {
		limit--
	}
	return text[:limit]
}

// decode decodes an object of a request.
func decode(raw json.RawMessage, into runtime.Object) error {
	if len(raw) == 0 || string(raw) == "null" {
		return errors.New("the request contains no object")
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("decode the object: %w", err)
	}
	return nil
}
