//go:build !mutant

package consensus

// The broken variants of mutant.go are constants here, so that the compiler
// removes them.
const (
	mutantVerifyLeader   = false
	mutantAckEarly       = false
	mutantOneMeta        = false
	mutantIgnoreTail     = false
	mutantIgnoreEntrySum = false
	mutantKeepID         = false
	mutantReadyEarly     = false
	mutantVoteUnproved   = false
)
