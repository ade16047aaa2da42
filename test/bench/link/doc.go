// Package link makes a second host on this machine for benchmarks: a network
// namespace whose only connection is a pair of virtual Ethernet devices of a
// bounded rate. It shares files and processes with this host, so that mounts made
// there are visible here, and has no other address in common: loopback addresses
// are its own, except for those that Reach sends over the link.
//
// The namespace has no name. It ends with the processes that use it.
package link
