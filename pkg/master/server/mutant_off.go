//go:build !mutant

package server

// The broken variants of mutant.go are constants here, so that the compiler
// removes them.
const (
	mutantMixResults = false
	mutantAckWritten = false
)
