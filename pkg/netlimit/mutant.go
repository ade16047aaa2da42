//go:build mutant

package netlimit

import "os"

// Broken variants, compiled in only under the build tag, which the directed
// tests must detect. JINDO_MUTANT selects one.
var (
	// mutantNoReserve gives addresses of the topology no slots of their own.
	mutantNoReserve = os.Getenv("JINDO_MUTANT") == "noreserve"
	// mutantCloseNewest closes the newcomer instead of the oldest.
	mutantCloseNewest = os.Getenv("JINDO_MUTANT") == "closenewest"
)
