// Package mutants checks that deliberately broken variants of a package, which the
// build tag mutant compiles in, are detected by the tests that are directed at them.
package mutants

import (
	"os"
	"os/exec"
	"testing"
)

// Variable is the environment variable that names the enabled mutant.
const Variable = "JINDO_MUTANT"

// Check checks for each mutant that its directed test, a pattern of -test.run,
// passes without the mutant, and fails each of a number of times with it. The tests
// run in other processes of this test binary.
func Check(t *testing.T, times int, directed map[string]string) {
	t.Helper()
	for mutant, pattern := range directed {
		t.Run(mutant, func(t *testing.T) {
			if out, err := rerun(t, pattern, ""); err != nil {
				t.Fatalf("without a mutant, %s fails: %v\n%s", pattern, err, out)
			}
			for range times {
				if out, err := rerun(t, pattern, mutant); err == nil {
					t.Fatalf("%s does not detect the mutant:\n%s", pattern, out)
				}
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
	cmd.Env = append(os.Environ(), Variable+"="+mutant)
	return cmd.CombinedOutput()
}
