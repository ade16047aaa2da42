package apierror_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

func TestExplain(t *testing.T) {
	datasets := schema.GroupResource{Group: "data.fluid.io", Resource: "datasets"}
	conflict := apierrors.NewApplyConflict([]metav1.StatusCause{
		{Type: metav1.CauseTypeFieldManagerConflict, Field: ".spec.replicas", Message: `conflict with "argocd" using v1`},
		{Type: metav1.CauseTypeFieldManagerConflict, Field: ".spec.master", Message: `conflict with "argocd" using v1`},
	}, "Apply failed")
	unknown := &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound, Message: "the server could not find the requested resource"}}
	denied := fmt.Errorf(`User "bob" cannot list resource "datasets" in API group "data.fluid.io" in the namespace "x"`)
	for name, test := range map[string]struct {
		err             error
		text, hint, try string
	}{
		"no right":        {apierrors.NewForbidden(datasets, "", denied), `forbidden: User "bob" cannot list`, "a role that allows list on datasets.data.fluid.io", "kubectl auth can-i list datasets.data.fluid.io -n x"},
		"a quota":         {apierrors.NewForbidden(datasets, "a", errors.New("exceeded quota")), "exceeded quota", "", ""},
		"no such user":    {apierrors.NewUnauthorized("Unauthorized"), "does not accept the credentials", "expired", "kubectl auth whoami"},
		"another manager": {conflict, ".spec.replicas, .spec.master is managed by argocd", "take it over", "--force-conflicts"},
		"no such kind":    {unknown, "has no such resource type", "not installed", "kubectl jindo check"},
		"no namespace":    {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "x"), `namespace "x" not found`, "", "kubectl create namespace x"},
		"no response":     {fmt.Errorf("listing: %w", context.DeadlineExceeded), "the API server did not respond within 5s", "--request-timeout", ""},
		"busy":            {apierrors.NewTooManyRequests("slow down", 1), "overloaded", "retry", ""},
		"interrupted":     {context.Canceled, "interrupted", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &session.Session{Name: "kubectl jindo", RequestTimeout: 5 * time.Second}
			err := apierror.Explain(s, nil, "listing", test.err)
			var failed *clierror.Error
			if !errors.As(err, &failed) {
				t.Fatalf("got %v", err)
			}
			if failed.Code != clierror.General {
				t.Errorf("code %d", failed.Code)
			}
			if !strings.HasPrefix(err.Error(), "listing: ") || !strings.Contains(err.Error(), test.text) || !strings.Contains(failed.Hint, test.hint) || failed.Try != test.try {
				t.Errorf("got %q, %q, %q", err, failed.Hint, failed.Try)
			}
			if again := apierror.Explain(s, nil, "more", err); !errors.Is(again, err) || again.Error() != err.Error() {
				t.Errorf("explained twice: %v", again)
			}
		})
	}
	if err := apierror.Explain(nil, nil, "listing", nil); err != nil {
		t.Errorf("nil became %v", err)
	}
}
