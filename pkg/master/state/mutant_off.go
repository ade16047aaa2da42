//go:build !mutant

package state

// The broken variants of mutant.go are constants here, so that the compiler
// removes them.
const (
	mutantNoDedup    = false
	mutantExpireUsed = false
	mutantNoQuota    = false
)
