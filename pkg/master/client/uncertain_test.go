package client

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
)

// A command was sent to a master that did not respond, and then refused by another. The
// refusal is the outcome only if the first would have refused, too.
func TestARefusalAfterALostResponse(t *testing.T) {
	for name, test := range map[string]struct {
		refusal *RefusedError
		unknown bool
	}{
		"the contents are invalid":    {&RefusedError{Code: codes.InvalidArgument}, false},
		"the sender has no right":     {&RefusedError{Code: codes.PermissionDenied}, false},
		"the disk of this one full":   {&RefusedError{Code: codes.ResourceExhausted}, true},
		"a state that may have moved": {&RefusedError{Code: codes.FailedPrecondition}, true},
		"the session has ended":       {&RefusedError{Code: codes.FailedPrecondition, Reason: reasonUnknownSession}, true},
		"executed, and refused":       {&RefusedError{Code: codes.NotFound, Reason: ReasonNotFound}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Client{session: session{id: "s", last: 3}}
			again, err := c.finish(outcome{refusal: test.refusal, uncertain: true})
			if again || err == nil || errors.Is(err, ErrUnknownOutcome) != test.unknown {
				t.Errorf("again %v, error %v, want an unknown outcome: %v", again, err, test.unknown)
			}
			if test.unknown && (c.session.id != "" || c.session.replaces != "s") {
				t.Errorf("the session goes on: %+v", c.session)
			}
			// Without an attempt that may have been executed, nothing was.
			c = &Client{session: session{id: "s", last: 3}}
			if _, err := c.finish(outcome{refusal: test.refusal}); errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("the only attempt: %v", err)
			}
		})
	}
}
