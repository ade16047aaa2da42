//go:build mutant

package server

import (
	"testing"

	"github.com/jindo-io/jindo/test/mutants"
)

// TestMutantsAreCaught checks that each directed test passes without a mutant
// and fails with the mutant that it is directed at.
func TestMutantsAreCaught(t *testing.T) {
	mutants.Check(t, 3, map[string]string{
		"mixresults": "^TestEachCommandGetsItsOwnResult$",
		"ackwritten": "^TestNothingIsAcknowledgedBecauseItIsWritten$",
	})
}
