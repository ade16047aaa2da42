//go:build mutant

package client

import "os"

// Broken variants, compiled in only under the build tag, which the directed
// tests must detect. JINDO_MUTANT selects one.
var (
	// mutantBlamesCaller counts the end of the caller's context against a worker.
	mutantBlamesCaller = os.Getenv("JINDO_MUTANT") == "blamescaller"
	// mutantBlamesStore counts a slow store against a worker that has sent the
	// header of its response.
	mutantBlamesStore = os.Getenv("JINDO_MUTANT") == "blamesstore"
	// mutantBlamesNothing never counts anything against a worker.
	mutantBlamesNothing = os.Getenv("JINDO_MUTANT") == "blamesnothing"
)
