//go:build mutant

package consensus

import "os"

// Broken variants, compiled in only under the build tag, that the directed
// tests must catch. JINDO_MUTANT names the one that is on.
var (
	// mutantVerifyLeader lets a read pass on the library's own check, which an
	// answer to an older heartbeat satisfies.
	mutantVerifyLeader = os.Getenv("JINDO_MUTANT") == "verifyleader"
	// mutantAckEarly acknowledges a command before it is committed.
	mutantAckEarly = os.Getenv("JINDO_MUTANT") == "ackearly"
)
