//go:build mutant

package state

import "os"

// Broken variants, compiled in only under the build tag, which the directed
// tests must detect. JINDO_MUTANT selects one.
var (
	// mutantNoDedup executes a request again each time it is received.
	mutantNoDedup = os.Getenv("JINDO_MUTANT") == "nodedup"
	// mutantExpireUsed ends sessions that were used since their expiry was
	// decided.
	mutantExpireUsed = os.Getenv("JINDO_MUTANT") == "expireused"
	// mutantNoQuota lets one owner have any number of sessions.
	mutantNoQuota = os.Getenv("JINDO_MUTANT") == "noquota"
)
