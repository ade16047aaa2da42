//go:build !mutant

package hostpath

// The broken variants of mutant.go are constants here, so that the compiler removes
// them.
const (
	mutantBelow    = false
	mutantAnyEntry = false
)
