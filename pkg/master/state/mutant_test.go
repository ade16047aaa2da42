//go:build mutant

package state

import (
	"testing"

	"github.com/jindo-io/jindo/test/mutants"
)

// TestMutantsAreCaught checks that each directed test passes without a mutant,
// and fails every time with the one that it is directed at.
func TestMutantsAreCaught(t *testing.T) {
	mutants.Check(t, 3, map[string]string{
		"nodedup":    "^TestRequestRepeated$",
		"noquota":    "^TestOneOwnerLeavesSessionsToOthers$",
		"expireused": "^TestAnExpiryInFlightDoesNotEndARenewedSession$",
	})
}
