//go:build mutant && linux

package fusefs

import "os"

// Broken variants, compiled in only under the build tag, which the directed tests
// must detect. JINDO_MUTANT selects one.
var (
	// mutantReplyFirst leaves the record of an opened handle out of the table.
	mutantReplyFirst = os.Getenv("JINDO_MUTANT") == "replyfirst"
	// mutantUnrecorded changes the table without the record that a successor
	// needs to undo a request without a reply.
	mutantUnrecorded = os.Getenv("JINDO_MUTANT") == "unrecorded"
	// mutantNoUndo overwrites bytes without saving them in the undo log.
	mutantNoUndo = os.Getenv("JINDO_MUTANT") == "noundo"
	// mutantScanFreesNew lets the scan free the records that were made while it
	// ran.
	mutantScanFreesNew = os.Getenv("JINDO_MUTANT") == "scanfreesnew"
	// mutantMovedTwice processes a request twice that a predecessor was moving when
	// it died.
	mutantMovedTwice = os.Getenv("JINDO_MUTANT") == "movedtwice"
	// mutantKeepMemory lets parked requests keep memory beyond their limit.
	mutantKeepMemory = os.Getenv("JINDO_MUTANT") == "keepmemory"
	// mutantModeLost leaves the mode of open handles out of the table.
	mutantModeLost = os.Getenv("JINDO_MUTANT") == "modelost"
	// mutantOtherBacking opens a node with the newest backing of any node.
	mutantOtherBacking = os.Getenv("JINDO_MUTANT") == "otherbacking"
)
