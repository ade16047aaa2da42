//go:build !mutant

package consensus

// The broken variants of mutant.go are constants here, so that no trace of
// them is compiled.
const (
	mutantVerifyLeader = false
	mutantAckEarly     = false
)
