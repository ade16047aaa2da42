//go:build mutant

package state

import "os"

// Broken variants, compiled in only under the build tag, that the directed
// tests must catch. JINDO_MUTANT names the one that is on.
var (
	// mutantNoDedup executes a request again each time it arrives.
	mutantNoDedup = os.Getenv("JINDO_MUTANT") == "nodedup"
)
