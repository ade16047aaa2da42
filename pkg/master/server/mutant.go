//go:build mutant

package server

import "os"

// Broken variants, compiled in only under the build tag, which the directed
// tests must detect. JINDO_MUTANT selects one.
var (
	// mutantMixResults gives a command the result of the next one in its entry.
	mutantMixResults = os.Getenv("JINDO_MUTANT") == "mixresults"
	// mutantAckWritten acknowledges commands when their entry is in the log of the
	// leader.
	mutantAckWritten = os.Getenv("JINDO_MUTANT") == "ackwritten"
)
