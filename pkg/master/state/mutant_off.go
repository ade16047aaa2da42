//go:build !mutant

package state

// The broken variants of mutant.go are constants here, so that no trace of
// them is compiled.
const mutantNoDedup = false
