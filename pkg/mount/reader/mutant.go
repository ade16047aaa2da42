//go:build mutant

package reader

import "os"

// Broken variants, compiled in only under the build tag, which the directed tests
// must detect. JINDO_MUTANT selects one.
var (
	// mutantMemoryFirst takes memory before the first byte arrives.
	mutantMemoryFirst = os.Getenv("JINDO_MUTANT") == "memoryfirst"
	// mutantHungDisk waits for a disk that hangs already.
	mutantHungDisk = os.Getenv("JINDO_MUTANT") == "hungdisk"
)
