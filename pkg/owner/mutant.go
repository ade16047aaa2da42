//go:build mutant && linux

package owner

import "os"

// Broken variants, compiled in only under the build tag, which the directed tests must
// detect. JINDO_MUTANT selects one.
var (
	// mutantFollow follows symbolic links.
	mutantFollow = os.Getenv("JINDO_MUTANT") == "follow"
	// mutantAnyPlace uses a volume wherever it is on the node.
	mutantAnyPlace = os.Getenv("JINDO_MUTANT") == "anyplace"
	// mutantUnmarked uses a directory with files of others.
	mutantUnmarked = os.Getenv("JINDO_MUTANT") == "unmarked"
)
