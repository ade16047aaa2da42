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
	// maxReview holds an object, the one before it, and what is around them;
	// the API server takes none of more than 3 MiB.
	maxReview = 7 << 20
	// memory of all requests that are read at a time.
	memory = 64 << 20
	// reviewTimeout ends work before the API server, which waits 5 s, gives up
	// without a sentence.
	reviewTimeout = 4 * time.Second
	// maxWarning is what the API server passes on of one, and maxWarnings of all.
	maxWarning, maxWarnings = 256, 4096
)

// request is the part of an AdmissionRequest that is looked at. Objects stay as
// they came, to the byte.
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

// review answers one request; it never fails but by refusing.
type review func(ctx context.Context, r *request) *admissionv1.AdmissionResponse

// handler is the HTTP side of a review.
type handler struct {
	*Server
	path   string
	review review
}

// ServeHTTP answers what is no AdmissionReview with a status and a sentence.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	defer func() { h.metrics.seconds.WithLabelValues(h.path).Observe(time.Since(began).Seconds()) }()
	ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
	defer cancel()
	asked, release, failed := h.read(ctx, w, r)
	defer release()
	if failed != nil {
		h.metrics.unreadable.Inc()
		h.o.Logger.Warn("refused what is no AdmissionReview", "path", h.path, "from", r.RemoteAddr, "status", failed.status, "error", failed.text)
		http.Error(w, failed.text, failed.status)
		return
	}
	answer := h.answer(ctx, asked)
	answer.UID = asked.UID
	answer.Warnings = bounded(answer.Warnings)
	w.Header().Set("Content-Type", "application/json")
	reply := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}, Response: answer,
	}
	if err := json.NewEncoder(w).Encode(reply); err != nil {
		h.o.Logger.Warn("answering", "path", h.path, "error", err)
	}
}

// answer refuses where the review panics: a pod that is admitted by mistake
// starts without its data.
func (h *handler) answer(ctx context.Context, r *request) (answer *admissionv1.AdmissionResponse) {
	defer func() {
		if what := recover(); what != nil {
			h.metrics.panics.Inc()
			h.o.Logger.Error("a review panicked", "path", h.path, "panic", what, "stack", string(debug.Stack()))
			answer = refusal(http.StatusInternalServerError, metav1.StatusReasonInternalError,
				"Jindo's webhook failed at this object, which is a mistake of the webhook: its log says where")
		}
	}()
	return h.review(ctx, r)
}

// unreadable is why a request is no AdmissionReview.
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
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
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
		return nil, release, &unreadable{http.StatusServiceUnavailable, "too many large requests at once: try again"}
	}
	release = func() { h.memory.Release(size) }
	body, err := readAll(http.MaxBytesReader(w, r.Body, maxReview), r.ContentLength)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, release, tooLarge()
	case err != nil:
		return nil, release, &unreadable{http.StatusBadRequest, fmt.Sprintf("the request ends early: %v", err)}
	}
	asked, err := parse(body)
	if err != nil {
		return nil, release, &unreadable{http.StatusBadRequest, err.Error()}
	}
	return asked, release, nil
}

func tooLarge() *unreadable {
	return &unreadable{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request has more than %d bytes", maxReview)}
}

// readAll reads a body whose length is told in one piece.
func readAll(body io.Reader, length int64) ([]byte, error) {
	if length <= 0 {
		return io.ReadAll(body)
	}
	text := make([]byte, length)
	_, err := io.ReadFull(body, text)
	return text, err
}

func parse(body []byte) (*request, error) {
	var review struct {
		metav1.TypeMeta `json:",inline"`
		Request         *request `json:"request"`
	}
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, fmt.Errorf("the request is no AdmissionReview in JSON: %w", err)
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

// misdirected refuses what a configuration should not have sent here.
func misdirected(r *request, want string) *admissionv1.AdmissionResponse {
	return refusal(http.StatusBadRequest, metav1.StatusReasonBadRequest,
		fmt.Sprintf("this webhook answers about %s, and was asked about %s of %.128s: correct the webhook configuration", want, r.Operation, r.Resource.Resource))
}

// bounded leaves out warnings that the API server would.
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

// truncate cuts at a character's end.
func truncate(text string, limit int) string {
	for limit > 0 && text[limit]&0xc0 == 0x80 {
		limit--
	}
	return text[:limit]
}

// decode an object of a request.
func decode(raw json.RawMessage, into runtime.Object) error {
	if len(raw) == 0 || string(raw) == "null" {
		return errors.New("the request has no object")
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("the object cannot be read: %w", err)
	}
	return nil
}
