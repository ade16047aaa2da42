package clitest

import (
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Match says which requests a rule is about; an empty field is any.
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

// rule is what happens to requests instead of an answer.
type rule struct {
	match   Match
	forbids bool
	hangs   bool
	err     error
}

// Forbid requests as RBAC does.
func (s *Server) Forbid(m Match) { s.add(&rule{match: m, forbids: true}) }

// Hang takes requests and never answers them.
func (s *Server) Hang(m Match) { s.add(&rule{match: m, hangs: true}) }

// Fail answers requests with an error of k8s.io/apimachinery/pkg/api/errors.
func (s *Server) Fail(m Match, err error) { s.add(&rule{match: m, err: err}) }

// Relent forgets every rule; requests that hang go on hanging.
func (s *Server) Relent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

func (s *Server) add(r *rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, r)
}

// interfere does what the first rule for the request says.
func (s *Server) interfere(w http.ResponseWriter, r *http.Request, c call) bool {
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
		panic(http.ErrAbortHandler) // the connection ends without an answer
	case found.forbids:
		answerError(w, forbidden(c))
	default:
		answerError(w, found.err)
	}
	return true
}

// forbidden in RBAC's words.
func forbidden(c call) error {
	where := fmt.Sprintf("in the namespace %q", c.Namespace)
	if c.Namespace == "" {
		where = "at the cluster scope"
	}
	group := c.gvr.GroupResource()
	group.Resource = c.Resource
	return apierrors.NewForbidden(c.gvr.GroupResource(), c.Name,
		fmt.Errorf("User %q cannot %s resource %q in API group %q %s", c.user, c.Verb, c.Resource, c.gvr.Group, where)) //nolint:staticcheck // as RBAC says it
}
