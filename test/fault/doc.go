// Package fault breaks a running system, one part at a time, under readers that
// check every byte. The table of faults is the promise to the people whose jobs
// read: docs/reference/faults.md is written from it.
package fault

//go:generate go test -count=1 -run TestDocument . -update
