//go:build mutant

package server

import "os"

// Broken variants, each of which a directed test must detect. The variable
// JINDO_MUTANT selects one.
//
//nolint:gochecknoglobals // Set once, at the start of the test binary.
var (
	// mutantCopyFromStore reads the store for node copies instead of the owners.
	mutantCopyFromStore = os.Getenv("JINDO_MUTANT") == "copy-from-store"
	// mutantLendAnyMount lends sealed files of mounts that the certificate does not name.
	mutantLendAnyMount = os.Getenv("JINDO_MUTANT") == "lend-any-mount"
	// mutantWholePlacement ignores stripes where a worker decides what it owns.
	mutantWholePlacement = os.Getenv("JINDO_MUTANT") == "whole-placement"
)
