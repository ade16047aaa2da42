// Package printer formats what commands print for people: tables that fit the
// screen, and sizes, counts, shares and ages.
package printer
