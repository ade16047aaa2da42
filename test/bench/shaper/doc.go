// Package shaper is a proxy in front of an object store for benchmarks: it
// delays the first byte of each response, bounds the rate of each connection and
// of all of them, and counts requests and bytes. Bodies pass through the kernel
// without a copy to this process, so that the proxy takes little of the
// processors that it shares with what is measured.
//
// Requests are forwarded unchanged, the Host header included, because their
// signatures cover it.
package shaper
