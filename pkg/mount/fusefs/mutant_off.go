//go:build !mutant && linux

package fusefs

// The broken variants of mutant.go are constants here, so that the compiler
// removes them.
const (
	mutantReplyFirst   = false
	mutantUnrecorded   = false
	mutantNoUndo       = false
	mutantScanFreesNew = false
	mutantMovedTwice   = false
	mutantKeepMemory   = false
	mutantModeLost     = false
	mutantOtherBacking = false
)
