//go:build mutant

package client_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestMutantNoDedupIsCaught checks that the directed test passes without the
// mutant, and fails every time when masters execute duplicates.
func TestMutantNoDedupIsCaught(t *testing.T) {
	const directed = "^TestLostResponse$"
	if out, err := rerun(t, directed, ""); err != nil {
		t.Fatalf("without a mutant, %s fails: %v\n%s", directed, err, out)
	}
	for range 3 {
		if out, err := rerun(t, directed, "nodedup"); err == nil {
			t.Fatalf("with the mutant nodedup, %s passes:\n%s", directed, out)
		}
	}
}

// rerun runs tests of this binary in another process, with a mutant enabled.
func rerun(t *testing.T, run, mutant string) ([]byte, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run="+run, "-test.count=1")
	cmd.Env = append(os.Environ(), "JINDO_MUTANT="+mutant)
	return cmd.CombinedOutput()
}
