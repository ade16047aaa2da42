package client

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// TestReasonsAreTheMasters compares the reasons of this package with the codes
// that masters refuse with, and with which of them use up a sequence.
func TestReasonsAreTheMasters(t *testing.T) {
	for _, reason := range []string{
		ReasonNotFound, ReasonOtherCluster, ReasonNameTaken, reasonUnknownSession, reasonGap, reasonForgotten,
		reasonUnacknowledged, reasonReused, reasonNotFormed, reasonSessionTaken, reasonNoRequest,
	} {
		if _, known := statev1.Refusal_Code_value["CODE_"+reason]; !known {
			t.Errorf("masters never refuse with %s", reason)
		}
	}
	for number, name := range statev1.Refusal_Code_name {
		code := statev1.Refusal_Code(number)
		if code == statev1.Refusal_CODE_UNSPECIFIED || code == statev1.Refusal_CODE_NOT_FORMED {
			continue // never sent, and never the final error of a call
		}
		refusal := &RefusedError{Reason: name[len("CODE_"):]}
		if used := code >= statev1.Refusal_CODE_NOT_FOUND; refusal.usedSequence() != used {
			t.Errorf("%s uses a sequence: %v, but the client assumes %v", name, used, refusal.usedSequence())
		}
	}
}
