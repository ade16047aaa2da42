//go:build mutant

package blockstore

import "os"

// Broken variants, compiled in only under the build tag, which the directed
// tests must detect. JINDO_MUTANT selects one.
var (
	// mutantSharedWriters writes every tier with the writers of the first.
	mutantSharedWriters = os.Getenv("JINDO_MUTANT") == "sharedwriters"
	// mutantHoldAndWait keeps the blocks that readers need later while a
	// download waits for memory.
	mutantHoldAndWait = os.Getenv("JINDO_MUTANT") == "holdandwait"
	// mutantNoShare lets versions that are read once evict protected ones.
	mutantNoShare = os.Getenv("JINDO_MUTANT") == "noshare"
	// mutantScrubIgnores keeps versions that the scrubber finds damaged.
	mutantScrubIgnores = os.Getenv("JINDO_MUTANT") == "scrubignores"
	// mutantSealUnverified seals versions of which blocks kept over a restart were
	// not verified.
	mutantSealUnverified = os.Getenv("JINDO_MUTANT") == "sealunverified"
	// mutantMoveUnverified moves blocks whose bytes differ from what was written.
	mutantMoveUnverified = os.Getenv("JINDO_MUTANT") == "moveunverified"
)
