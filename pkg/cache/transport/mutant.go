//go:build mutant

package transport

import "os"

// Broken variants, each of which a directed test must detect. The variable
// JINDO_MUTANT selects one.
//
//nolint:gochecknoglobals // Set once, at the start of the test binary.
var mutantAnyUser = os.Getenv("JINDO_MUTANT") == "any-user"
