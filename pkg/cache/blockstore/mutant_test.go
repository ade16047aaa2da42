//go:build mutant

package blockstore

import (
	"os"
	"os/exec"
	"testing"
)

// TestMutantsAreCaught checks that each directed test passes without a mutant
// and fails with the mutant that it is directed at.
func TestMutantsAreCaught(t *testing.T) {
	for mutant, directed := range map[string]string{
		"sharedwriters": "^TestHungTierHurtsItselfOnly$/^write$",
		"holdandwait":   "^TestReaderThatStopsHoldsUpNoOther$",
		"noshare":       "^TestObjectLargerThanTheTier$",

		"sealunverified": "^TestSealVerifiesBlocksKeptOverARestart$",
	} {
		t.Run(mutant, func(t *testing.T) {
			if out, err := rerun(t, directed, ""); err != nil {
				t.Fatalf("without a mutant, %s fails: %v\n%s", directed, err, out)
			}
			if out, err := rerun(t, directed, mutant); err == nil {
				t.Fatalf("%s does not detect the mutant:\n%s", directed, out)
			}
		})
	}
}

// rerun runs tests of this binary in another process, with a mutant enabled.
func rerun(t *testing.T, run, mutant string) ([]byte, error) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.run", run, "-test.timeout", "2m", "-test.count", "1")
	cmd.Env = append(os.Environ(), "JINDO_MUTANT="+mutant)
	return cmd.CombinedOutput()
}
