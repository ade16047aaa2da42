//go:build mutant

package hostpath

import "os"

// Broken variants, compiled in only under the build tag, which the directed tests must
// detect. JINDO_MUTANT selects one.
var (
	// mutantBelow allows directories below an allowed one.
	mutantBelow = os.Getenv("JINDO_MUTANT") == "below"
	// mutantAnyEntry lets an administrator allow any directory.
	mutantAnyEntry = os.Getenv("JINDO_MUTANT") == "anyentry"
)
