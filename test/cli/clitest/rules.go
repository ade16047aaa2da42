package clitest

import (
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Match selects the requests of a rule; an empty field matches every value.
type Match struct {
	// Verb is get, list, watch, create, update, patch or delete.
	Verb string
	// Resource with its subresource: "secrets", "pods/portforward".
	Resource        string
	Namespace, Name string
}

func (m Match) covers(r Request) bool {
	for _, pair := range [][2]string{{m.Verb, r.Verb}, {m.Resource, r.Resource}, {m.Namespace, r.Namespace}, {m.Name, r.Name}} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return true
}

// rule describes how to treat matching requests.
type rule struct {
	match   Match
	forbids bool
	hangs   bool
	err     error
}

// Forbid refuses requests as RBAC does.
func (s *Server) Forbid(m Match) { s.add(&rule{match: m, forbids: true}) }

// Hang accepts requests and never responds.
func (s *Server) Hang(m Match) { s.add(&rule{match: m, hangs: true}) }

// Fail responds to requests with err, an error of
// k8s.io/apimachinery/pkg/api/errors.
func (s *Server) Fail(m Match, err error) { s.add(&rule{match: m, err: err}) }

// ClearRules removes every rule; requests that hang continue to hang.
func (s *Server) ClearRules() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

func (s *Server) add(r *rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, r)
}

// applyRules applies the first rule that matches, and reports whether one did.
func (s *Server) applyRules(w http.ResponseWriter, r *http.Request, c call) bool {
	s.mu.Lock()
	var found *rule
	for _, candidate := range s.rules {
		if candidate.match.covers(c.Request) {
			found = candidate
			break
		}
	}
	s.mu.Unlock()
	switch {
	case found == nil:
		return false
	case found.hangs:
		select {
		case <-r.Context().Done():
		case <-s.done.Done():
		}
		panic(http.ErrAbortHandler) // closes the connection without a response
	case found.forbids:
		respondError(w, forbidden(c))
	default:
		respondError(w, found.err)
	}
	return true
}

// forbidden returns the error that RBAC returns.
func forbidden(c call) error {
	where := fmt.Sprintf("in the namespace %q", c.Namespace)
	if c.Namespace == "" {
		where = "at the cluster scope"
	}
	group := c.gvr.GroupResource()
	group.Resource = c.Resource
	return apierrors.NewForbidden(c.gvr.GroupResource(), c.Name,
		fmt.Errorf("User %q cannot %s resource %q in API group %q %s", c.user, c.Verb, c.Resource, c.gvr.Group, where)) //nolint:staticcheck // RBAC's wording
}
