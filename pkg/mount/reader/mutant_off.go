//go:build !mutant

package reader

// The broken variants of mutant.go are constants here, so that the compiler
// removes them.
const (
	mutantMemoryFirst = false
	mutantHungDisk    = false
)
