// Package printer formats the output of commands for users: tables that fit the
// screen, and sizes, counts, shares and ages.
package printer
