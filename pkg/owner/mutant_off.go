//go:build !mutant && linux

package owner

// The broken variants of mutant.go are constants here, so that the compiler removes
// them.
const (
	mutantFollow   = false
	mutantAnyPlace = false
	mutantUnmarked = false
)
