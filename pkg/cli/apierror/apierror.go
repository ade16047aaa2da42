// Package apierror turns the errors of requests to the API server into errors of
// commands: what was done to which object, the cause in a sentence, and what to do
// about missing rights, missing kinds, conflicts and timeouts.
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

// Explain returns the error of a request as a *[clierror.Error]. act is what was
// done to which object: "creating Dataset vision/hbase". It returns nil for nil,
// and an error that contains a *clierror.Error unchanged.
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
		return clierror.Generalf("%s: unauthorized: the API server does not accept the credentials of this context", act).
			WithHint("they are missing or expired").WithTry("kubectl auth whoami")
	case apierrors.IsConflict(err) && Managers(status) != nil:
		return conflict(act, status)
	case IsMissingKind(err):
		failed := clierror.Generalf("%s: the cluster has no such resource type", act).
			WithHint("the CustomResourceDefinitions of Jindo are not installed")
		if s != nil && s.Name != "" {
			return failed.WithTry("%s check", s.Name) // prints the command that installs them
		}
		return failed
	case apierrors.IsNotFound(err) && status.Details != nil && status.Details.Kind == "namespaces":
		return clierror.Generalf("%s: namespace %q not found", act, status.Details.Name).
			WithTry("kubectl create namespace %s", status.Details.Name)
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.IsServiceUnavailable(err), apierrors.IsTooManyRequests(err):
		return clierror.Generalf("%s: the API server is overloaded: %s", act, status.Message).WithHint("retry in a moment")
	}
	return clierror.Generalf("%s: %s", act, status.Message)
}

// IsMissingKind reports whether the cluster has no resource type of this name: the
// path is not served at all, so the error names no object.
func IsMissingKind(err error) bool {
	var known apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &known) {
		return false
	}
	status := known.Status()
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
	failed := clierror.Generalf("%s: forbidden: %s", act, why)
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
	return failed.WithHint("an administrator of the cluster can bind a role that allows %s on %s, such as edit", verb, resource).WithTry("%s", words)
}

// quoted returns the part of text between before and after, or "".
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

// Managers returns the sorted names of the managers that own the fields in a
// conflict of server-side apply, or nil for any other status.
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
	return clierror.Generalf("%s: conflict: %s is managed by %s, with another value", act, strings.Join(fields, ", ")+more, strings.Join(Managers(status), " and ")).
		WithHint("omit the field to leave it as it is, or take it over").WithTry("--force-conflicts")
}

// unreachable explains a request that got no response.
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
		return clierror.Generalf("%s: %s did not respond%s", act, server, within).
			WithHint("it may be overloaded or cut off by a firewall; --request-timeout waits longer")
	}
	var request *url.Error
	if errors.As(err, &request) {
		return clierror.Generalf("%s: %s is unreachable: %w", act, server, request.Err).WithTry("kubectl cluster-info")
	}
	return clierror.Generalf("%s: %w", act, err)
}
