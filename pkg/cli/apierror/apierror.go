// Package apierror says in a sentence why the API server did not do what it was
// asked: no right, no such thing, somebody else's field, no answer in time. A
// command that fails on a request returns what Explain makes of it.
package apierror

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// Explain what became of a request. act is what was done to which object:
// "creating Dataset vision/hbase". A nil error stays nil, and an error that is
// explained already stays as it is.
func Explain(s *session.Session, c *session.Cluster, act string, err error) error {
	var explained *clierror.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &explained):
		return err
	case errors.Is(err, context.Canceled):
		return clierror.Generalf("%s: interrupted", act)
	}
	status := apierrors.APIStatus(nil)
	if errors.As(err, &status) {
		return ofStatus(s, act, err, status.Status())
	}
	return unreachable(s, c, act, err)
}

func ofStatus(s *session.Session, act string, err error, status metav1.Status) error {
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(status.Message, " cannot "):
		return forbidden(s, act, status)
	case apierrors.IsUnauthorized(err):
		return clierror.Generalf("%s: the API server does not accept who you say you are", act).
			WithHint("the credentials of this context are missing or out of date").WithTry("kubectl auth whoami")
	case apierrors.IsConflict(err) && Managers(status) != nil:
		return conflict(act, status)
	case apierrors.IsNotFound(err) && missingKind(status):
		return clierror.Generalf("%s: this cluster does not know the kind", act).
			WithHint("the product's CustomResourceDefinitions are not installed").
			WithTry("kubectl apply --server-side -f crds.yaml -f install.yaml")
	case apierrors.IsNotFound(err) && status.Details != nil && status.Details.Kind == "namespaces":
		return clierror.Generalf("%s: there is no namespace %q", act, status.Details.Name).
			WithTry("kubectl create namespace %s", status.Details.Name)
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.IsServiceUnavailable(err), apierrors.IsTooManyRequests(err):
		return clierror.Generalf("%s: the API server is too busy: %s", act, status.Message).WithHint("trying again in a moment may be enough")
	}
	return clierror.Generalf("%s: %s", act, status.Message)
}

// missingKind: the path is not served at all, so no object is named.
func missingKind(status metav1.Status) bool {
	return status.Details == nil || status.Details.Name == "" || strings.Contains(status.Message, "could not find the requested resource")
}

func forbidden(s *session.Session, act string, status metav1.Status) error {
	_, why, _ := strings.Cut(status.Message, " is forbidden: ")
	if why == "" {
		_, why, _ = strings.Cut(status.Message, "is forbidden: ")
	}
	if why == "" {
		why = status.Message
	}
	failed := clierror.Generalf("%s: you have no right to: %s", act, why)
	verb := quoted(why, "cannot ", " resource")
	resource := quoted(why, `resource "`, `"`)
	if verb == "" || resource == "" {
		return failed
	}
	if group := quoted(why, `API group "`, `"`); group != "" {
		resource += "." + group
	}
	words := "kubectl auth can-i " + verb + " " + resource
	if namespace := quoted(why, `namespace "`, `"`); namespace != "" {
		words += " -n " + namespace
	}
	if s != nil && s.Kube != nil && s.Kube.Impersonate != nil && *s.Kube.Impersonate != "" {
		words += " --as " + *s.Kube.Impersonate
	}
	return failed.WithHint("somebody who administers the cluster can bind you a role with %s on %s, such as edit", verb, resource).WithTry("%s", words)
}

func quoted(text, before, after string) string {
	_, rest, found := strings.Cut(text, before)
	if !found {
		return ""
	}
	value, _, found := strings.Cut(rest, after)
	if !found {
		return ""
	}
	return value
}

// Managers are those who own fields that server-side apply was to change, in
// the order of their names; nil when that is not why it was refused.
func Managers(status metav1.Status) []string {
	if status.Details == nil {
		return nil
	}
	var managers []string
	for _, cause := range status.Details.Causes {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		manager := quoted(cause.Message, `conflict with "`, `"`)
		if manager != "" && !slices.Contains(managers, manager) {
			managers = append(managers, manager)
		}
	}
	slices.Sort(managers)
	return managers
}

func conflict(act string, status metav1.Status) error {
	const shown = 4
	var fields []string
	for _, cause := range status.Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict && !slices.Contains(fields, cause.Field) {
			fields = append(fields, cause.Field)
		}
	}
	more := ""
	if len(fields) > shown {
		more = fmt.Sprintf(" and %d more", len(fields)-shown)
		fields = fields[:shown]
	}
	return clierror.Generalf("%s: %s is set by %s, with another value", act, strings.Join(fields, ", ")+more, strings.Join(Managers(status), " and ")).
		WithHint("leave the field to whoever set it by leaving it out, or take it over").WithTry("--force-conflicts")
}

// unreachable is for what never became an answer.
func unreachable(s *session.Session, c *session.Cluster, act string, err error) error {
	server := "the API server"
	if c != nil && c.Config != nil && c.Config.Host != "" {
		server += " " + c.Config.Host
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		within := ""
		if s != nil && s.RequestTimeout > 0 {
			within = fmt.Sprintf(" within %v", s.RequestTimeout)
		}
		return clierror.Generalf("%s: %s did not answer%s", act, server, within).
			WithHint("it may be overloaded, or something on the way swallows the traffic; --request-timeout gives it longer")
	}
	var request *url.Error
	if errors.As(err, &request) {
		return clierror.Generalf("%s: %s cannot be reached: %w", act, server, request.Err).WithTry("kubectl cluster-info")
	}
	return clierror.Generalf("%s: %w", act, err)
}
