//go:build !mutant

package blockstore

// The broken variants of mutant.go are constants here, so that the compiler
// removes them.
const (
	mutantSharedWriters = false
	mutantHoldAndWait   = false
	mutantNoShare       = false

	mutantScrubIgnores   = false
	mutantSealUnverified = false
	mutantMoveUnverified = false
)
