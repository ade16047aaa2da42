// Package fault injects faults into a running system, one at a time, while readers
// check every byte. docs/reference/faults.md, which documents what applications see
// of each fault, is written from its table.
package fault

//go:generate go test -count=1 -run TestDocument . -update
