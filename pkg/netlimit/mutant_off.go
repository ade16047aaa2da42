//go:build !mutant

package netlimit

// The broken variants of mutant.go are constants here, so that the compiler
// removes them.
const (
	mutantNoReserve   = false
	mutantCloseNewest = false
)
