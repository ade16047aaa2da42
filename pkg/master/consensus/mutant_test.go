//go:build mutant

package consensus

import (
	"testing"

	"github.com/jindo-io/jindo/test/mutants"
)

// TestMutantsAreCaught checks that each directed test passes without a mutant
// and fails with the mutant that it is directed at.
func TestMutantsAreCaught(t *testing.T) {
	mutants.Check(t, 1, map[string]string{
		"verifyleader":   "^TestReadConfirmedByAcksOlderThanItself$",
		"ackearly":       "^TestNothingIsAcknowledgedBeforeItIsCommitted$",
		"onemeta":        "^TestAFormat1LogWithOneMetaPageProvesNothing$",
		"ignoretail":     "^TestConsistentLossIsNoticed$",
		"ignoreentrysum": "^TestDamageIsFoundAndNeverServed$",
		"keepid":         "^TestADamagedMemberJoinsAsANewOne$",
		"readyearly":     "^TestAFollowerThatReceivesOnlyHeartbeatsIsNotReady$",
		"voteunproved":   "^TestAnOlderCopyOfADiskDoesNotVote$",
	})
}
