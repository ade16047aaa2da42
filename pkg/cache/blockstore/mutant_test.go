//go:build mutant

package blockstore

import (
	"testing"

	"github.com/jindo-io/jindo/test/mutants"
)

// TestMutantsAreCaught checks that each directed test passes without a mutant
// and fails with the mutant that it is directed at.
func TestMutantsAreCaught(t *testing.T) {
	mutants.Check(t, 1, map[string]string{
		"sharedwriters":  "^TestHungTierHurtsItselfOnly$/^write$",
		"holdandwait":    "^TestReaderThatStopsHoldsUpNoOther$",
		"noshare":        "^TestObjectLargerThanTheTier$",
		"moveunverified": "^TestDamagedVersionIsNotMoved$",
		"scrubignores":   "^TestScrubDiscardsDamage$",
		"sealunverified": "^TestSealVerifiesBlocksKeptOverARestart$",
	})
}
