package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/kube/admission/lookup"
	"github.com/jindo-io/jindo/pkg/kube/inject"
)

// Reasons of rejections in addition to those of [inject.Plan].
const (
	reasonUnknownClaim inject.Reason = "UnknownClaim"
	reasonUnreachable  inject.Reason = "APIServerUnreachable"
	reasonMisdirected  inject.Reason = "Misdirected"
	reasonInternal     inject.Reason = "Internal"
)

// patchSize is a little more than the size of a usual patch in bytes.
const patchSize = 2048

// pod returns the operations that inject a sidecar into a pod. It has no side
// effects, so dry runs are not treated specially.
func (s *Server) pod(ctx context.Context, r *request) *admissionv1.AdmissionResponse {
	if r.Resource.Group != "" || r.Resource.Resource != "pods" || r.SubResource != "" || r.Operation != admissionv1.Create {
		return s.podRefused(r, http.StatusBadRequest, reasonMisdirected, misdirected(r, "the creation of pods").Result.Message)
	}
	result, err := s.plan(ctx, r)
	if err != nil {
		code, reason := podError(err)
		return s.podRefused(r, code, reason, err.Error())
	}
	response := allow()
	response.Warnings = result.Warnings
	outcome := strings.ToLower(string(result.Outcome))
	response.AuditAnnotations = map[string]string{"result": outcome, "reason": string(result.Reason), "message": result.Message}
	if len(result.Operations) > 0 {
		patch, err := inject.AppendPatch(make([]byte, 0, patchSize), result.Operations)
		if err != nil {
			return s.podRefused(r, http.StatusInternalServerError, reasonInternal, fmt.Sprintf("encode the patch: %v", err))
		}
		kind := admissionv1.PatchTypeJSONPatch
		response.Patch, response.PatchType = patch, &kind
	}
	s.metrics.injections.WithLabelValues(outcome, string(result.Reason)).Inc()
	if s.o.Logger.Enabled(ctx, slog.LevelDebug) { // podName may decode the whole pod
		s.o.Logger.Debug("admitted pod", "namespace", r.Namespace, "pod", podName(r), "result", outcome, "reason", result.Reason, "dryRun", r.DryRun)
	}
	return response
}

func (s *Server) plan(ctx context.Context, r *request) (*inject.Result, error) {
	pod, err := inject.Parse(r.Object)
	if err != nil {
		return nil, err
	}
	datasets, err := lookup.Find(ctx, s.o.Cached, s.o.Live, r.Namespace, pod.Claims())
	if err != nil {
		return nil, err
	}
	return pod.Plan(inject.Request{
		Namespace: r.Namespace, Datasets: datasets, Image: s.o.Image, PullPolicy: s.o.PullPolicy,
	})
}

// podError returns the status and reason of a rejection: 403 if the pod or the
// cluster must be changed, and 503 or 500 for transient errors.
func podError(err error) (int32, inject.Reason) {
	var refused *inject.Refusal
	var unknown *lookup.Unknown
	switch {
	case errors.As(err, &refused):
		return http.StatusForbidden, refused.Reason
	case errors.As(err, &unknown) && unknown.Err != nil:
		return http.StatusServiceUnavailable, reasonUnreachable
	case errors.As(err, &unknown):
		return http.StatusForbidden, reasonUnknownClaim
	}
	return http.StatusInternalServerError, reasonInternal
}

func (s *Server) podRefused(r *request, code int32, reason inject.Reason, message string) *admissionv1.AdmissionResponse {
	s.metrics.injections.WithLabelValues("refused", string(reason)).Inc()
	s.o.Logger.Info("rejected pod", "namespace", r.Namespace, "pod", podName(r), "reason", reason, "message", message)
	status := metav1.StatusReasonForbidden
	switch code {
	case http.StatusServiceUnavailable:
		status = metav1.StatusReasonServiceUnavailable
	case http.StatusBadRequest:
		status = metav1.StatusReasonBadRequest
	case http.StatusInternalServerError:
		status = metav1.StatusReasonInternalError
	}
	response := refusal(code, status, message)
	response.AuditAnnotations = map[string]string{"result": "refused", "reason": string(reason), "message": message}
	return response
}

// podName returns the name of a pod for logs. Pods created by a controller have a
// generateName only.
func podName(r *request) string {
	if r.Name != "" {
		return r.Name
	}
	var named struct {
		Metadata struct {
			Name         string `json:"name"`
			GenerateName string `json:"generateName"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(r.Object, &named); err != nil || named.Metadata.Name != "" {
		return named.Metadata.Name
	}
	return named.Metadata.GenerateName + "*"
}
