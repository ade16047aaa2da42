//go:build !mutant

package transport

// The broken variants of mutant.go are constants here, so that the compiler
// removes them.
const mutantAnyUser = false
