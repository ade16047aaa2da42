package client

import (
	"errors"
	"testing"
)

// TestASessionThatTheMastersDoNotHaveIsReplaced: its command was not executed, unless an
// earlier attempt may have been.
func TestASessionThatTheMastersDoNotHaveIsReplaced(t *testing.T) {
	for _, reason := range []string{reasonUnknownSession, reasonGap} {
		for _, uncertain := range []bool{false, true} {
			c := &Client{session: session{id: "s", last: 3}}
			again, err := c.finish(outcome{refusal: &RefusedError{Reason: reason}, uncertain: uncertain})
			if again == uncertain || errors.Is(err, ErrUnknownOutcome) != uncertain {
				t.Errorf("%s, uncertain %v: again %v, %v", reason, uncertain, again, err)
			}
			if c.session.id != "" || c.session.replaces != "s" {
				t.Errorf("%s: the session is %+v", reason, c.session)
			}
		}
	}
	c := &Client{session: session{id: "s", last: 3}}
	if again, _ := c.finish(outcome{refusal: &RefusedError{Reason: reasonForgotten}}); again {
		t.Error("a request that was acknowledged is sent again")
	}
}
