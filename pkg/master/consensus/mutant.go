//go:build mutant

package consensus

import "os"

// Broken variants, compiled in only under the build tag, which the directed
// tests must detect. JINDO_MUTANT selects one.
var (
	// mutantVerifyLeader lets a read succeed on the library's own check, which
	// a response to an older heartbeat satisfies.
	mutantVerifyLeader = os.Getenv("JINDO_MUTANT") == "verifyleader"
	// mutantAckEarly acknowledges a command before it is committed.
	mutantAckEarly = os.Getenv("JINDO_MUTANT") == "ackearly"
)
