//go:build !mutant

package client

// The broken variants of mutant.go are constants here, so that the compiler
// removes them.
const (
	mutantBlamesCaller  = false
	mutantBlamesStore   = false
	mutantBlamesNothing = false
)
